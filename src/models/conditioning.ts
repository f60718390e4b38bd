/**
 * Which results of the UNet's layers are the same in every evaluation of a clip, and how are they computed once? Those of its
 * cross-attention to the one token of the image embedding, and of the embedding of the frames' numbers. They are rows of one
 * tensor, which the evaluations read.
 */
import { StillmotionError } from "../errors.ts";
import type { Lowering } from "../lowering/lowering.ts";
import { elementCount, sameShape } from "../tensor.ts";
import type { Component } from "../weights/types.ts";
import { type ConditioningRows, conditioningRows, type ReadRows } from "./blocks/conditioning-rows.ts";
import type { UnetLevel } from "./blocks/unet-blocks.ts";
import type { Network } from "./network.ts";

/** What of a UNet's configuration tells which layers read the conditioning. */
export interface ConditionedLevels {
  /** The width of the image embedding. */
  readonly contextChannels: number;
  readonly downLevels: readonly UnetLevel[];
  readonly midLevel: UnetLevel;
  readonly upLevels: readonly UnetLevel[];
}

/** Input: `image_embedding` (1, channels). Output: `conditioning` (numbers), which {@link inputConditioning} reads. */
export function conditioning(config: ConditionedLevels, { frames }: { readonly frames: number }): Network {
  return (w, lowering) => {
    const embedding = lowering.input("image_embedding", [1, config.contextChannels]);
    const rows = Array.from(layersOf(config, frames), ({ path, shape, write }) =>
      lowering.reshape(write(w.at(path), embedding), [elementCount(shape)]),
    );
    lowering.output("conditioning", lowering.concat(rows, 0));
  };
}

/** The input `conditioning` of an evaluation, and where in it the rows of each layer lie. */
export function inputConditioning(lowering: Lowering, config: ConditionedLevels, frames: number): ReadRows {
  const places = new Map<string, Pick<ConditioningRows, "shape"> & { start: number }>();
  let length = 0;
  for (const { path, shape } of layersOf(config, frames)) {
    places.set(path, { shape, start: length });
    length += elementCount(shape);
  }
  const input = lowering.input("conditioning", [length]);
  return (layer, shape) => {
    const place = places.get(layer.path);
    if (!place || !sameShape(place.shape, shape)) {
      throw new StillmotionError(
        "internal",
        `${layer.path}: rows of shape [${shape}], conditioning has [${place?.shape}]`,
      );
    }
    return lowering.reshape(lowering.select(input, 0, place.start, elementCount(shape)), shape);
  };
}

/** The tensors of a UNet that {@link conditioning} reads, or all others, which the evaluations read. */
export function unetPart(unet: Component, part: "conditioning" | "evaluation"): Component {
  const isConditioning = (name: string) => /\.(attn2|time_pos_embed)\./.test(name);
  const isOfPart = (name: string) => isConditioning(name) === (part === "conditioning");
  return { ...unet, tensors: new Map([...unet.tensors].filter(([name]) => isOfPart(name))) };
}

/** The layers that give rows, by their paths in the UNet and in the order in which their rows lie. */
function* layersOf({ downLevels, midLevel, upLevels }: ConditionedLevels, frames: number): Generator<ConditioningRows> {
  for (const [index, level] of downLevels.entries()) yield* layersOfBlock(`down_blocks.${index}`, level, frames);
  yield* layersOfBlock("mid_block", midLevel, frames);
  for (const [index, level] of upLevels.entries()) yield* layersOfBlock(`up_blocks.${index}`, level, frames);
}

function* layersOfBlock(block: string, level: UnetLevel, frames: number): Generator<ConditioningRows> {
  const { channels, layers, attention } = level;
  for (let index = 0; attention && index < layers; index++) {
    const transformer = { channels, layers: attention.transformerLayers[index]! };
    for (const rows of conditioningRows(transformer, frames)) {
      yield { ...rows, path: `${block}.attentions.${index}.${rows.path}` };
    }
  }
}
