/** Which numbers does the VAE see? The picture at the clip's size, resized with Lanczos, in [-1, 1]. */
import { StillmotionError } from "../errors.ts";
import type { FloatTensor } from "../tensor.ts";
import { floatTensor } from "../tensor.ts";
import type { Image } from "./image.ts";
import { resizeImage } from "./resize.ts";

/**
 * The input of the VAE encoder, the same numbers as `VideoProcessor.preprocess` gives, but channels last.
 *
 * @returns float32 in [-1, 1], (images, height, width, 3)
 * @source diffusers 0.42.1 image_processor.py `VaeImageProcessor.preprocess`
 */
export function vaePixelValues(
  images: readonly Image[],
  { width, height }: { readonly width: number; readonly height: number },
): FloatTensor {
  if (images.length === 0)
    throw new StillmotionError("invalid-image", "image: got an empty list, expected at least one");
  const tensor = floatTensor([images.length, height, width, 3]);
  images.forEach((image, index) => {
    const { data } = resizeImage(image, { width, height, filter: "lanczos" });
    const start = index * data.length;
    for (let i = 0; i < data.length; i++) tensor.data[start + i] = signedValues[data[i]!]!;
  });
  return tensor;
}

/** 2 * (byte / 255) - 1 in float32 steps. */
const signedValues = Float32Array.from({ length: 256 }, (_, byte) => 2 * Math.fround(byte / 255) - 1);
