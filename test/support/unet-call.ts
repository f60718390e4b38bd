/** How does a call of the reference's UNet become one of ours? Golden data hold its arguments, in batches of clips. */
import type { Engine } from "../../src/engine/engine.ts";
import type { WrittenNetwork } from "../../src/models/network.ts";
import type { Networks } from "../../src/pipeline/networks.ts";
import type { FloatTensor, Tensor } from "../../src/tensor.ts";
import { items, permuted, reshapedTo } from "./golden.ts";

/** One clip of a batch, without the batch's axis. */
export function clipOf(value: FloatTensor, index: number): FloatTensor {
  return reshapedTo(items(value, index, index + 1), value.shape.slice(1));
}

/**
 * The size and the inputs of {@link runUnet} for one clip of the call.
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

/** One evaluation of the UNet, conditioned on `image_embedding`. */
export async function runUnet(
  engine: Engine,
  write: Networks["write"],
  { size, inputs }: ReturnType<typeof unetCall>,
): Promise<Tensor> {
  const { image_embedding, ...others } = inputs;
  const { conditioning } = await runNetwork(engine, write.conditioning(size), { image_embedding });
  const { sample } = await runNetwork(engine, write.unet(size), { ...others, conditioning: conditioning! });
  return sample!;
}

export async function runNetwork(
  engine: Engine,
  { model }: WrittenNetwork,
  inputs: Readonly<Record<string, Tensor>>,
): Promise<Readonly<Record<string, Tensor>>> {
  const session = await engine.load(model);
  try {
    return await session.run(inputs);
  } finally {
    await session.release();
  }
}
