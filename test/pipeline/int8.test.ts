/** What of the picture do other arithmetic and other forms of the weights cost, with trained weights: the built-in checkpoint's clip? */
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadImage } from "../../src/node/image/load-image.ts";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import type { FromPretrainedOptions } from "../../src/options/load-options.ts";

const small = { seed: 42, width: 96, height: 64, numFrames: 4, numInferenceSteps: 4 };
const root = join(import.meta.dirname, "..", "..");

async function clip(
  dtype: "fp32" | "int8",
  weightStorage?: FromPretrainedOptions["weightStorage"],
): Promise<Float32Array> {
  const model = join(root, "models", "tiny");
  const pipe = await StableVideoDiffusionPipeline.fromPretrained(model, { dtype, weightStorage, threads: 2 });
  try {
    expect(pipe.dtype).toBe(dtype);
    const image = await loadImage(join(root, "examples", "photos", "lake-sherburne.jpg"));
    const { frames } = await pipe.generate(image, { ...small, outputType: "floats" });
    return frames[0]!.data;
  } finally {
    await pipe.dispose();
  }
}

/** With 1 as the peak; frames lie in [0, 1]. */
function peakSignalToNoiseDb(a: Float32Array, b: Float32Array): number {
  const sum = a.reduce((total, value, index) => total + (value - b[index]!) ** 2, 0);
  return -10 * Math.log10(sum / a.length);
}

let exact: Promise<Float32Array> | undefined;
const inFp32 = () => (exact ??= clip("fp32"));

// 57 to 60 dB for three held-out photos at the checkpoint's own size and steps.
it("int8 costs less than the eye, or 8 bits a colour, can hold", { timeout: 120_000 }, async () => {
  const quality = peakSignalToNoiseDb(await inFp32(), await clip("int8"));
  expect(quality).toBeGreaterThan(55);
  expect(quality).toBeLessThan(80); // it is another arithmetic
});

it("weights brought to fp32 at the start cost nothing", { timeout: 120_000 }, async () => {
  expect(await clip("fp32", "fp32")).toEqual(await inFp32());
});

it("weights held in int8 cost about as much as int8", { timeout: 120_000 }, async () => {
  const quality = peakSignalToNoiseDb(await inFp32(), await clip("fp32", "int8"));
  expect(quality).toBeGreaterThan(50);
  expect(quality).toBeLessThan(80);
});

it.each([
  ["int8", "stored", 'weightStorage is "stored", with dtype int8 it is auto or int8; the others are for dtype fp32'],
  ["fp32", "fp8", 'weightStorage is "fp8", with dtype fp32 it is auto or stored, fp32, int8'],
])("dtype %s with weights in %s is refused with what it could be", async (dtype, weightStorage, message) => {
  const opening = clip(dtype as "fp32", weightStorage as "fp32");
  await expect(opening).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining(message) });
});
