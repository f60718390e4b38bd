/** How is a clip kept without any loss? As tensors, for programs that go on working with it. */
import { StillmotionError } from "../errors.ts";
import { type FloatTensor, floatTensor, sameShape, type Tensor } from "../tensor.ts";
import { encodeSafetensors } from "../weights/safetensors/safetensors.ts";
import { type ClipData, clipSize, type EncodeOptions } from "./clip.ts";
import { checkedFps } from "./frame-rate.ts";
import { settingsToText } from "./metadata.ts";

/** The key in the file's `__metadata__` that holds the settings. */
export const commentKey = "comment";

/**
 * Writes a clip as a .safetensors file: `frames` float32 (frames, height, width, 3) in [0, 1], from the float frames
 * where the clip has them, else from its 8-bit ones; and `latents` float32 (1, frames, 4, height / 8, width / 8) where it
 * has them.
 *
 * @throws StillmotionError `invalid-option` for no frames, frames of two sizes, tensors of another shape or a bad rate
 */
export function encodeClipSafetensors(clip: ClipData, options: EncodeOptions = {}): Uint8Array {
  const { width, height } = clipSize(clip.frames);
  const fps = checkedFps(options.fps, "safetensors");
  const count = clip.frames.length;
  const tensors: Record<string, Tensor> = { frames: clip.floatFrames ?? floatFrames(clip, width, height) };
  checkShape("floatFrames", tensors.frames!, [count, height, width, 3]);
  if (clip.latents) {
    const scale = height / clip.latents.shape.at(-2)!; // 8 for the published VAE
    checkShape("latents", clip.latents, [1, count, clip.latents.shape.at(-3)!, height / scale, width / scale]);
    tensors.latents = clip.latents;
  }
  return encodeSafetensors(tensors, { [commentKey]: settingsToText(options.metadata, fps, count) });
}

function floatFrames(clip: ClipData, width: number, height: number): FloatTensor {
  const tensor = floatTensor([clip.frames.length, height, width, 3]);
  for (const [index, { data }] of clip.frames.entries()) {
    const start = index * data.length;
    for (let at = 0; at < data.length; at += 1) tensor.data[start + at] = data[at]! / 255;
  }
  return tensor;
}

function checkShape(name: string, tensor: Tensor, expected: readonly number[]): void {
  if (sameShape(tensor.shape, expected)) return;
  throw new StillmotionError(
    "invalid-option",
    `${name}: shape is [${tensor.shape.join(", ")}], expected [${expected.join(", ")}] for these frames`,
  );
}
