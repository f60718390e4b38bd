/**
 * How much memory does each stage of a clip take, and what was estimated? A program of its own, started fresh for each size:
 * node bench/memory-stillmotion.ts CHECKPOINT INPUTS --threads N --dtype fp32 --settings JSON
 *
 * Inputs and settings are those of bench/clip-stillmotion.ts. Prints one line of JSON, a `MemoryMeasurement`.
 */
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { createImage } from "../src/image/image.ts";
import { createCpuFp32Lowering } from "../src/lowering/cpu-fp32.ts";
import { estimateMemory } from "../src/onnx/memory.ts";
import { latentSize, readNetworks } from "../src/pipeline/networks.ts";
import { StableVideoDiffusionPipeline } from "../src/pipeline/stable-video-diffusion.ts";
import type { Stage } from "../src/pipeline/stages.ts";
import { decodeSafetensors } from "../src/weights/safetensors.ts";
import { peakResidentBytes, resetPeak } from "./peak-memory.ts";
import { commonOptions, ownVersions } from "./self-measurement.ts";

export interface StageMemory {
  readonly stage: Stage;
  readonly estimatedBytes: number;
  /** The most that was resident from when it was loaded until it was released. */
  readonly peakBytes: number;
}

export interface MemoryMeasurement {
  readonly stages: readonly StageMemory[];
  readonly versions: Readonly<Record<string, string>>;
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { ...commonOptions, settings: { type: "string" } },
});
const [checkpoint, inputsFile] = positionals as [string, string];
const settings = JSON.parse(values.settings!) as { num_frames: number; width: number; height: number };

const peaks = new Map<Stage, number>();
const pipeline = await StableVideoDiffusionPipeline.fromPretrained(checkpoint, {
  threads: Number(values.threads),
  preset: "diffusers",
  onProgress({ stage, state }) {
    if (state === "loading") resetPeak();
    if (state === "released") peaks.set(stage, Math.max(peaks.get(stage) ?? 0, peakResidentBytes()));
  },
});

const { write, ...networks } = readNetworks(pipeline.checkpoint, createCpuFp32Lowering);
const { num_frames: frames, width, height } = settings;
const latents = { frames, ...latentSize(networks, settings) };
const estimates: Readonly<Record<Stage, number>> = {
  "image encoder": estimateMemory(write.imageEncoder().graph),
  "vae encoder": estimateMemory(write.vaeEncoder({ width, height }).graph),
  unet: estimateMemory(write.unet(latents).graph),
  "vae decoder": estimateMemory(write.vaeDecoder(latents).graph),
};

const { tensors } = decodeSafetensors(await readFile(inputsFile), inputsFile);
const { shape, data } = tensors["picture.0"]!;
await pipeline.generate(createImage(shape[1]!, shape[0]!, data as Uint8Array), settings);
await pipeline.dispose();
const stages = [...peaks].map(
  ([stage, peakBytes]): StageMemory => ({ stage, estimatedBytes: estimates[stage], peakBytes }),
);
process.stdout.write(`${JSON.stringify({ stages, versions: ownVersions() } satisfies MemoryMeasurement)}\n`);
