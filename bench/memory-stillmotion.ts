/**
 * How much memory and time does each stage of a clip take, and what was planned? A program of its own, started fresh for
 * each size:
 * node bench/memory-stillmotion.ts CHECKPOINT INPUTS --threads N --dtype fp32 --settings JSON
 *
 * Inputs and settings are those of bench/clip-stillmotion.ts. Prints one line of JSON, a `MemoryMeasurement`.
 */
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import type { StagePlan } from "../src/estimate/plan.ts";
import { createImage } from "../src/image/image.ts";
import { StableVideoDiffusionPipeline } from "../src/node/stable-video-diffusion.ts";
import type { Stage } from "../src/pipeline/progress.ts";
import { decodeSafetensors } from "../src/weights/safetensors/safetensors.ts";
import { peakResidentBytes, resetPeak } from "./peak-memory.ts";
import { commonOptions, ownVersions } from "./self-measurement.ts";

export interface StageMeasurement {
  readonly planned: StagePlan;
  /** The most that was resident from when it was loaded until it was released. */
  readonly peakBytes: number;
  /** From when it was loaded until it was released. */
  readonly seconds: number;
}

export interface MemoryMeasurement {
  readonly stages: readonly StageMeasurement[];
  readonly versions: Readonly<Record<string, string>>;
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { ...commonOptions, settings: { type: "string" } },
});
const [checkpoint, inputsFile] = positionals as [string, string];
const settings = JSON.parse(values.settings!) as Record<string, number>;

const taken = new Map<Stage, { peakBytes: number; seconds: number }>();
let started = 0;
const pipeline = await StableVideoDiffusionPipeline.fromPretrained(checkpoint, {
  threads: Number(values.threads),
  dtype: values.dtype as "fp32" | "int8",
  preset: "diffusers",
  onProgress({ stage, state }) {
    if (state === "loading") {
      resetPeak();
      started = performance.now();
    }
    if (state !== "released") return;
    const before = taken.get(stage) ?? { peakBytes: 0, seconds: 0 };
    const seconds = before.seconds + (performance.now() - started) / 1000;
    taken.set(stage, { peakBytes: Math.max(before.peakBytes, peakResidentBytes()), seconds });
  },
});

const { tensors } = decodeSafetensors(await readFile(inputsFile), inputsFile);
const { shape, data } = tensors["picture.0"]!;
const plan = await pipeline.plan(1, settings);
await pipeline.generate(createImage(shape[1]!, shape[0]!, data as Uint8Array), settings);
await pipeline.dispose();
const stages = plan.stages.map((planned): StageMeasurement => ({ planned, ...taken.get(planned.stage)! }));
process.stdout.write(`${JSON.stringify({ stages, versions: ownVersions() } satisfies MemoryMeasurement)}\n`);
