/**
 * How long does our pipeline take for a whole clip? A program of its own, so that each measurement starts from a fresh process:
 * node bench/clip-stillmotion.ts CHECKPOINT INPUTS OUTPUT --threads N --runs N --dtype fp32 --settings JSON
 *
 * INPUTS holds `picture.N` (height, width, 3) and `noise.N` (1, frames, 4, latent height, latent width) for each run N; the
 * settings are options of `generate`. Prints a `Measurement` and writes the frames of each run, and of the first clip, to OUTPUT.
 */
import { readFile, writeFile } from "node:fs/promises";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { createImage } from "../src/image/image.ts";
import { StableVideoDiffusionPipeline } from "../src/node/stable-video-diffusion.ts";
import type { FromPretrainedOptions } from "../src/options/load-options.ts";
import type { FloatTensor } from "../src/tensor.ts";
import { decodeSafetensors, encodeSafetensors } from "../src/weights/safetensors/safetensors.ts";
import { commonOptions, printMeasurement, startStopwatch } from "./self-measurement.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { ...commonOptions, settings: { type: "string" } },
});
const [checkpoint, inputsFile, outputFile] = positionals as [string, string, string];

/** When denoising began and ended in the present run, in ms. */
const denoising = { from: 0, to: 0 };

const stopwatch = startStopwatch();
const pipeline = await StableVideoDiffusionPipeline.fromPretrained(checkpoint, {
  dtype: values.dtype as FromPretrainedOptions["dtype"],
  weightStorage: values["weight-storage"] as FromPretrainedOptions["weightStorage"],
  threads: Number(values.threads),
  preset: "diffusers",
  onProgress({ stage, state, done, total }) {
    if (stage !== "unet" || state !== "running") return;
    if (done === 0) denoising.from = performance.now();
    if (done === total) denoising.to = performance.now();
  },
});
const { tensors: inputs } = decodeSafetensors(await readFile(inputsFile), inputsFile);
const loadSeconds = stopwatch.elapsed();

async function clip(number: number, settings: object): Promise<FloatTensor> {
  const { shape, data } = inputs[`picture.${number}`]!;
  const image = createImage(shape[1]!, shape[0]!, data as Uint8Array);
  const latents = inputs[`noise.${number}`] as FloatTensor;
  const { frames } = await pipeline.generate(image, { ...settings, latents, seed: number, outputType: "floats" });
  return frames[0]!;
}

const settings = JSON.parse(values.settings!) as object;
// The one noise level of a single step may lie outside an interval.
const first = await clip(0, { ...settings, num_inference_steps: 1, guidance_interval: undefined });
const warmUpSeconds = stopwatch.elapsed() - loadSeconds;
const clips: Record<string, FloatTensor> = { "frames.first": first };
const denoiseSeconds: number[] = [];
const outsideShares: number[] = [];
for (let number = 0; number < Number(values.runs); number++) {
  const before = performance.eventLoopUtilization();
  clips[`frames.${number}`] = await stopwatch.run(() => clip(number, settings));
  outsideShares.push(performance.eventLoopUtilization(before).utilization);
  denoiseSeconds.push((denoising.to - denoising.from) / 1000);
}
await writeFile(outputFile, encodeSafetensors(clips));
printMeasurement(stopwatch, { loadSeconds, warmUpSeconds, denoiseSeconds, outsideShares });
await pipeline.dispose();
