/** Which checkpoints does the bench run? The published configuration with random weights, and the built-in one. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type UnetConfig, unetConfig } from "../src/models/unet.ts";
import { type VaeConfig, vaeConfig } from "../src/models/vae.ts";
import { openCheckpoint } from "../src/node/weights.ts";
import type { JsonObject } from "../src/weights/types.ts";
import { runCommand } from "./process.ts";

/** What each is called in a report. */
export const checkpointTitles = { "svd-xt": "SVD-XT configuration", tiny: "built-in checkpoint" } as const;
export type CheckpointName = keyof typeof checkpointTitles;

export interface BenchCheckpoint {
  readonly folder: string;
  /** Whether its clips show anything, or only noise. */
  readonly isTrained: boolean;
  readonly unet: UnetConfig;
  readonly vae: VaeConfig;
  /** The settings that it comes with. */
  readonly preset: JsonObject;
}

/** Opens a checkpoint; SVD-XT's is made in `folder`, unless it is there. */
export async function benchCheckpoint(
  name: CheckpointName,
  { folder, python }: { folder: string; python: string },
): Promise<BenchCheckpoint> {
  const path = name === "tiny" ? join("models", "tiny") : join(folder, name);
  if (name !== "tiny" && !existsSync(join(path, "model_index.json"))) {
    await runCommand(python, ["-m", "reference.bench.make_checkpoint", path]);
  }
  const { unet, vae, preset = {} } = await openCheckpoint(path);
  return {
    folder: path,
    isTrained: name === "tiny",
    unet: unetConfig(unet.config),
    vae: vaeConfig(vae.config),
    preset,
  };
}
