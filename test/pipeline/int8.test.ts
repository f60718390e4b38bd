/** How much of the picture does int8 cost, with trained weights: the built-in checkpoint's clip against fp32's? */
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadImage } from "../../src/image/load-image.ts";
import { StableVideoDiffusionPipeline } from "../../src/pipeline/stable-video-diffusion.ts";

const small = { seed: 42, width: 96, height: 64, numFrames: 4, numInferenceSteps: 4 };
const root = join(import.meta.dirname, "..", "..");

async function clip(dtype: "fp32" | "int8"): Promise<Float32Array> {
  const model = join(root, "models", "tiny");
  const pipe = await StableVideoDiffusionPipeline.fromPretrained(model, { dtype, threads: 2 });
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

// 57 to 60 dB for three held-out photos at the checkpoint's own size and steps.
it("is less than the eye, or 8 bits a colour, can hold", { timeout: 120_000 }, async () => {
  const [exact, int8] = [await clip("fp32"), await clip("int8")];
  const quality = peakSignalToNoiseDb(exact, int8);
  expect(quality).toBeGreaterThan(55);
  expect(quality).toBeLessThan(80); // it is another arithmetic
});
