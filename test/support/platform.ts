/** On what does a pipeline run in a test? On an engine of the test's own, as the CPU's device, with scratches in the usual folder. */
import type { Engine } from "../../src/engine/engine.ts";
import { cpuLowerings, cpuLoweringsFor } from "../../src/lowering/cpu/lowerings.ts";
import type { UnetLowering, WeightStorage } from "../../src/lowering/lowerings.ts";
import { openScratchSpace } from "../../src/node/scratch.ts";
import { readNetworks } from "../../src/pipeline/networks.ts";
import type { StageContext } from "../../src/pipeline/run-stage.ts";
import { createSessions } from "../../src/pipeline/sessions.ts";
import type { Platform } from "../../src/pipeline/stable-video-diffusion.ts";
import type { Checkpoint } from "../../src/weights/types.ts";

export function platformOf(engine: Engine): Platform {
  return { device: { name: "cpu", engine, lowerings: cpuLowerings }, scratch: openScratchSpace() };
}

/** The CPU's networks, with the UNet in fp32 unless it is written in another way. */
export function networksOf(
  checkpoint: Checkpoint,
  unet: Pick<UnetLowering, "create" | "createSmall"> = cpuLowerings.unet[0]!,
) {
  return readNetworks(checkpoint, cpuLowerings, unet);
}

/** The same on a processor with blocks of so many channels, where networks of few weights are written in them. */
export function networksInBlocks(
  checkpoint: Checkpoint,
  channelBlock: number,
  weightStorage: WeightStorage = "stored",
) {
  const lowerings = cpuLoweringsFor(channelBlock);
  const unet = lowerings.unet.find((each) => each.dtype === "fp32" && each.weightStorage === weightStorage)!;
  return readNetworks(checkpoint, lowerings, unet);
}

/** A call that nobody listens to and nobody aborts. */
export function contextOf(engine: Engine, change: Partial<StageContext> = {}): StageContext {
  const { scratch } = platformOf(engine);
  const sessions = createSessions(engine, "model");
  return { engine, scratch, sessions, onProgress: () => {}, signal: undefined, ...change };
}

/** The engine, whose only pool of memory has so many bytes left, and holds so many. */
export function engineWithMemory(
  engine: Engine,
  availableBytes: () => number,
  heldBytes = engine.memory.host.heldBytes,
): Engine {
  const pool = { ...engine.memory.host, availableBytes, heldBytes };
  return { ...engine, memory: { host: pool, device: pool } };
}
