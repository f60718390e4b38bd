/** How does a call of the reference's UNet become one of ours? Golden data hold its arguments, in batches of clips. */
import type { FloatTensor } from "../../src/tensor.ts";
import { items, permuted, reshapedTo } from "./golden.ts";

/** One clip of a batch, without the batch's axis. */
export function clipOf(value: FloatTensor, index: number): FloatTensor {
  return reshapedTo(items(value, index, index + 1), value.shape.slice(1));
}

/**
 * The size and the inputs of our UNet for one clip of the call.
 *
 * @param input an argument of the reference's `forward`, by its name
 */
export function unetCall(input: (argument: string) => FloatTensor, index: number) {
  const sample = clipOf(input("sample"), index); // (frames, 8, height, width)
  const [frames, , height, width] = sample.shape as [number, number, number, number];
  const channels = permuted(sample, [1, 0, 2, 3]); // (8, frames, height, width)
  const inputs = {
    latents: permuted(items(channels, 0, 4), [1, 0, 2, 3]),
    image_latents: items(permuted(items(channels, 4, 8), [1, 0, 2, 3]), 0, 1),
    timestep: reshapedTo(input("timestep"), [1, 1]),
    added_time_ids: reshapedTo(clipOf(input("added_time_ids"), index), [3, 1]),
    image_embedding: clipOf(input("encoder_hidden_states"), index),
  };
  return { size: { frames, height, width }, inputs };
}
