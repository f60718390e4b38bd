/** What does `stillmotion inspect` take, and what does it show? A checkpoint, a clip or a file of tensors, told by content. */
import { open, stat } from "node:fs/promises";
import { Command } from "commander";
import { StillmotionError } from "../../errors.ts";
import { disk } from "../../node/files/disk.ts";
import { exists, noSuchPath } from "../../node/hub/nearest-path.ts";
import { loadPresentations } from "../../options/load-options.ts";
import { isLoraFolder } from "../../weights/lora/find-lora.ts";
import { exitCodes } from "../errors.ts";
import { findModelFolder, mayBeHubModel } from "../models/resolve.ts";
import { toLoadFlag } from "../run/load-flags.ts";
import { printJson, printLine } from "../terminal.ts";
import type { Inspection } from "./inspection.ts";

const examples = `
Examples:
  $ stillmotion inspect ./svd-xt --variant fp16
  $ stillmotion inspect svd-xt --variant fp16
  $ stillmotion inspect svd_xt_1_1.safetensors
  $ stillmotion inspect lora.safetensors --weights
  $ stillmotion inspect clip.mp4
  $ stillmotion inspect noise.safetensors --json
`;

export function inspectCommand(finish: (exitCode: number) => void): Command {
  const { variant, revision } = Object.fromEntries(loadPresentations());
  return new Command("inspect")
    .summary("say what a checkpoint, a clip or a .safetensors file is")
    .description(
      "Shows what a checkpoint holds and what is wrong with it; the settings and the seed that made a clip; " +
        "or what a .safetensors file is: a checkpoint, a UNet, a LoRA, something for another model, or tensors. " +
        "Exits with 1 when something is wrong.",
    )
    .argument("<path>", "a folder in diffusers layout, a model in the cache, .safetensors, .mp4, .gif, .webp or .png")
    .addOption(toLoadFlag({ ...variant!, help: `of a checkpoint, ${variant!.help}` }))
    .option("--weights", "read all weights, and say where they are not finite")
    .addOption(toLoadFlag({ ...revision!, help: "of a model in the cache: a branch, a tag or a commit" }))
    .option("--json", "print one JSON object")
    .addHelpText("after", examples)
    .action(async (given: string, options: InspectFlags) => {
      const path = await pathOf(given, options);
      const found = await inspect(path, options);
      const { lines, json, problems = [] } = options.weights ? await readingWeights(path, found) : found;
      if (options.json) printJson({ path, ...json });
      else for (const line of lines) printLine(process.stdout, line);
      if (problems.length > 0) finish(exitCodes.failed);
    });
}

interface InspectFlags {
  readonly variant?: string;
  readonly revision?: string;
  readonly weights?: boolean;
  readonly json?: boolean;
}

/** The path itself, or the folder of a model that was downloaded before: looking at one is no reason to fetch it. */
async function pathOf(given: string, { variant, revision }: InspectFlags): Promise<string> {
  if (revision === undefined && (await exists(given))) return given;
  if (mayBeHubModel(given)) return findModelFolder(given, { variant, revision, localFilesOnly: true });
  if (/\.png$/i.test(given) || (await exists(given))) return given; // a clip's pictures are numbered
  throw new StillmotionError("invalid-checkpoint", await noSuchPath(given));
}

async function inspect(path: string, { variant }: { variant?: string }): Promise<Inspection> {
  const options = variant === undefined ? {} : { variant };
  if (await isLoraFolder(disk, path)) {
    const lora = await (await import("./lora.ts")).inspectLora(path);
    if (lora) return lora;
  }
  if (await isFolder(path)) {
    const { inspectCheckpoint } = await import("./checkpoint.ts");
    return inspectCheckpoint(path, options);
  }
  const { inspectClip, inspectSafetensors } = await import("./file.ts");
  return (await looksLikeTensors(path)) ? inspectSafetensors(path, options) : inspectClip(path);
}

async function readingWeights(path: string, inspection: Inspection): Promise<Inspection> {
  const { weightsFiles = [] } = inspection;
  if (weightsFiles.length === 0) {
    throw new StillmotionError("invalid-option", `--weights: ${path} holds no weights that can be read; leave it out`);
  }
  return (await import("./weights.ts")).withWeights(inspection, weightsFiles);
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

/** A .safetensors file begins with eight bytes of length and a JSON object, or has the name at least. */
async function looksLikeTensors(path: string): Promise<boolean> {
  if (/\.(safetensors|sft|bin|ckpt|pt|pth|pkl)$/i.test(path)) return true;
  const start = Buffer.alloc(9);
  try {
    const file = await open(path);
    await file.read(start, 0, start.length, 0).finally(() => file.close());
  } catch {
    return false;
  }
  return start[8] === "{".charCodeAt(0);
}
