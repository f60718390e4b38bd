/** What is a clip? Frames of one size and a rate; and what every encoder of one takes. */
import { StillmotionError } from "../errors.ts";
import { checkImage, type Image } from "../image/image.ts";
import type { FloatTensor } from "../tensor.ts";

/** One clip for the exporter. Only `.safetensors` keeps the float frames and the latents. */
export interface ClipData {
  readonly frames: readonly Image[];
  /** (frames, height, width, 3) in [0, 1], before rounding to 8 bits. */
  readonly floatFrames?: FloatTensor | undefined;
  /** (1, frames, 4, height / 8, width / 8) as the denoising loop ended with them. */
  readonly latents?: FloatTensor | undefined;
}

/** The formats that a clip can be written in, by their file extensions. */
export const clipFormats = ["mp4", "gif", "webp", "png", "safetensors"] as const;
export type ClipFormat = (typeof clipFormats)[number];

/** Frames a second when the caller gives no rate: the rate that SVD-XT 1.1 was tuned at. */
export const defaultFps = 7;

/** What every encoder takes. */
export interface EncodeOptions {
  /** Frames a second. Default 7. */
  readonly fps?: number | undefined;
  /** Settings to store in the file: JSON values under any name, seed included. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The size that all frames share. Throws `invalid-option` for no frames or two sizes, `invalid-image` for damage. */
export function clipSize(frames: readonly Image[]): { width: number; height: number } {
  const first = frames[0];
  if (first === undefined) {
    throw new StillmotionError("invalid-option", "frames: got an empty list, expected at least one frame");
  }
  for (const [index, frame] of frames.entries()) {
    checkImage(frame);
    const { width, height } = frame;
    if (width !== first.width || height !== first.height) {
      throw new StillmotionError(
        "invalid-option",
        `frames[${index}]: size is ${width}x${height}, expected ${first.width}x${first.height} as frames[0]; ` +
          "resize the frames to one size first",
      );
    }
  }
  return { width: first.width, height: first.height };
}
