import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type BenchCheckpoint, benchCheckpoint } from "../../bench/checkpoints.ts";
import { clipInputs, decodeInputs, heldOutPhotos, unetInputs } from "../../bench/inputs.ts";
import type { Measurement } from "../../bench/measurement.ts";
import { runForJson } from "../../bench/process.ts";
import { loadImage } from "../../src/node/image/load-image.ts";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { randn } from "../../src/random/randn.ts";
import type { FloatTensor } from "../../src/tensor.ts";
import { decodeSafetensors } from "../../src/weights/safetensors/safetensors.ts";

const size = { frames: 2, width: 32, height: 32 };
let folder = "";
let checkpoint: BenchCheckpoint;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "programs-"));
  checkpoint = await benchCheckpoint("tiny", { folder, python: "not needed for this one" });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(subject: string, inputsFile: string, more: readonly string[] = []) {
  const output = join(folder, `${subject}.safetensors`);
  const common = ["--threads", "1", "--runs", "2", "--dtype", "fp32"];
  const args = [join("bench", `${subject}-stillmotion.ts`), checkpoint.folder, inputsFile, output, ...common, ...more];
  const measurement = (await runForJson(process.execPath, args)) as Measurement;
  return { measurement, tensors: decodeSafetensors(await readFile(output), output).tensors };
}

function expectMeasured({ loadSeconds, warmUpSeconds, runSeconds, runCpuSeconds, peakBytes, versions }: Measurement) {
  for (const value of [loadSeconds, warmUpSeconds, ...runSeconds, ...runCpuSeconds]) expect(value).toBeGreaterThan(0);
  expect([runSeconds.length, runCpuSeconds.length]).toEqual([2, 2]);
  expect(peakBytes).toBeGreaterThan(50e6);
  expect(peakBytes).toBeLessThan(2e9);
  expect(versions).toEqual({ "onnxruntime-node": expect.any(String), node: process.versions.node });
}

it("the program for a UNet step measures itself and writes what it computed", async () => {
  const { measurement, tensors } = await run("unet", await unetInputs(folder, checkpoint, size));
  expectMeasured(measurement);
  expect(tensors.sample!.shape).toEqual([2, 4, 8, 8]);
  expect((tensors.sample as FloatTensor).data.every(Number.isFinite)).toBe(true);
});

it("the program for decoding measures itself and writes frames in [0, 1]", async () => {
  const { measurement, tensors } = await run("decode", await decodeInputs(folder, checkpoint, size), ["--window", "2"]);
  expectMeasured(measurement);
  const { shape, data } = tensors.frames as FloatTensor;
  expect(shape).toEqual([2, 32, 32, 3]);
  expect(data.every((value) => value >= 0 && value <= 1)).toBe(true);
  expect(new Set(data).size).toBeGreaterThan(1000);
});

it("the program for clips makes the clips that the library makes", async () => {
  const settings = { num_frames: 2, width: 32, height: 32, num_inference_steps: 2 };
  const inputs = await clipInputs(folder, checkpoint, size, 2);
  const { measurement, tensors } = await run("clip", inputs, ["--settings", JSON.stringify(settings)]);
  expectMeasured(measurement);
  for (const [number, share] of measurement.outsideShares!.entries()) {
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThan(1);
    expect(measurement.denoiseSeconds![number]).toBeLessThan(measurement.runSeconds[number]!);
  }
  await using pipeline = await StableVideoDiffusionPipeline.fromPretrained(checkpoint.folder, {
    preset: "diffusers",
    threads: 1,
  });
  const photos = await heldOutPhotos();
  for (const number of [0, 1]) {
    const latents = randn(createGenerator(number), [1, 2, 4, 8, 8], "float32");
    const options = { ...settings, latents, seed: number, outputType: "floats" } as const;
    const { frames } = await pipeline.generate(await loadImage(photos[number]!), options);
    expect(tensors[`frames.${number}`]).toEqual(frames[0]);
  }
});
