/** Does this installation compute what the reference computes? A tiny clip, against numbers that diffusers gave. */
import { join } from "node:path";
import { StillmotionError } from "../../errors.ts";
import { floatsOf } from "../../floats.ts";
import { createImage } from "../../image/image.ts";
import { StableVideoDiffusionPipeline } from "../../node/stable-video-diffusion.ts";
import { readSafetensors } from "../../node/weights.ts";
import type { Tensor } from "../../tensor.ts";

/** How far a value may be off: `relative` times the largest expected value, plus `absolute`. */
interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

/** What reference/golden/doctor.py stores with the tensors `image`, `latents` and `frames`. */
interface Recipe {
  /** Arguments of the reference's call, by their Python names. */
  readonly call: Readonly<Record<string, unknown>>;
  readonly tolerance: { readonly latents: Tolerance; readonly frames: Tolerance };
  readonly versions: Readonly<Record<string, string>>;
}

/**
 * Runs what `golden.safetensors` in the checkpoint's folder describes.
 *
 * @returns by how much the results differ
 * @throws StillmotionError `internal` when they differ too much, or whatever a run throws
 */
export async function checkParity(checkpoint: string, engine: { libraryPath?: string }): Promise<string> {
  const path = join(checkpoint, "golden.safetensors");
  const { tensors, metadata } = await readSafetensors(path);
  const { call, tolerance, versions } = recipeOf(metadata, path);
  const [height, width] = tensors.image!.shape as [number, number];
  const image = createImage(width, height, tensors.image!.data as Uint8Array);

  const pipeline = await StableVideoDiffusionPipeline.fromPretrained(checkpoint, engine);
  try {
    const result = await pipeline.generate(image, {
      fit: "stretch",
      decodeMode: "reference",
      ...call,
      outputType: "floats",
    });
    const latents = compare("latents", result.latents.data, tensors.latents!, tolerance.latents);
    const frames = compare("frames", result.frames[0]!.data, tensors.frames!, tolerance.frames);
    return `as diffusers ${versions.diffusers}: ${latents}; ${frames}`;
  } finally {
    await pipeline.dispose();
  }
}

function recipeOf(metadata: Readonly<Record<string, string>>, path: string): Recipe {
  try {
    const [call, tolerance, versions] = ["call", "tolerance", "versions"].map((key) => JSON.parse(metadata[key]!));
    return { call, tolerance, versions };
  } catch (cause) {
    throw new StillmotionError("invalid-checkpoint", `${path}: its metadata has no call, tolerance and versions`, {
      cause,
    });
  }
}

function compare(name: string, got: Float32Array, golden: Tensor, { relative, absolute }: Tolerance): string {
  const expected = floatsOf(golden);
  let [largest, largestDifference, sum] = [0, 0, 0];
  for (const [index, value] of expected.entries()) {
    const difference = Math.abs((got[index] ?? Number.NaN) - value);
    largest = Math.max(largest, Math.abs(value));
    largestDifference = Math.max(largestDifference, difference);
    sum += difference;
  }
  const allowed = relative * largest + absolute;
  const differences = `${name} differ by ${short(largestDifference)} at most, ${short(sum / expected.length)} on average`;
  if (got.length === expected.length && largestDifference <= allowed) return differences;
  throw new StillmotionError(
    "internal",
    `${differences}; expected at most ${short(allowed)}. This build computes wrong numbers; please report it`,
  );
}

function short(value: number): string {
  return value.toExponential(1);
}
