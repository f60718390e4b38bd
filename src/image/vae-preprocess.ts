/** Which numbers does the VAE see? A picture of the clip's size, in [-1, 1]. */
import type { FloatTensor } from "../tensor.ts";
import { floatTensor } from "../tensor.ts";
import type { Image } from "./image.ts";

/**
 * The input of the VAE encoder for a picture that `fitImage` brought to the clip's size: together the same numbers as
 * `VideoProcessor.preprocess` gives, but channels last.
 *
 * @returns float32 in [-1, 1], (1, height, width, 3)
 * @source diffusers 0.42.1 image_processor.py `VaeImageProcessor.preprocess`
 */
export function vaePixelValues({ width, height, data }: Image): FloatTensor {
  const tensor = floatTensor([1, height, width, 3]);
  for (let i = 0; i < data.length; i++) tensor.data[i] = signedValues[data[i]!]!;
  return tensor;
}

/** 2 * (byte / 255) - 1 in float32 steps. */
const signedValues = Float32Array.from({ length: 256 }, (_, byte) => 2 * Math.fround(byte / 255) - 1);
