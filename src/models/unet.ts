/** How is the denoising network written? diffusers' `UNetSpatioTemporalConditionModel`. */
import { z } from "zod";
import { StillmotionError } from "../errors.ts";
import type { Lowering, Value } from "../lowering/lowering.ts";
import { conv2d } from "../nn/convolution.ts";
import { embeddingProjection, sinusoidalEmbedding } from "../nn/embedding.ts";
import { groupNorm } from "../nn/norm.ts";
import type { Weights } from "../weights/view.ts";
import { type Conditioning, downBlock, midBlock, type UnetLevel, upBlock } from "./blocks/unet-blocks.ts";
import { type ConditionedLevels, inputConditioning } from "./conditioning.ts";
import { count, layerCount, levelWidths, parseConfig, perLevel } from "./config.ts";
import type { Network } from "./network.ts";

const schema = z.object({
  in_channels: count.default(8),
  out_channels: count.default(4),
  down_block_types: z
    .array(z.enum(["CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"]))
    .default([
      "CrossAttnDownBlockSpatioTemporal",
      "CrossAttnDownBlockSpatioTemporal",
      "CrossAttnDownBlockSpatioTemporal",
      "DownBlockSpatioTemporal",
    ]),
  up_block_types: z
    .array(z.enum(["CrossAttnUpBlockSpatioTemporal", "UpBlockSpatioTemporal"]))
    .default([
      "UpBlockSpatioTemporal",
      "CrossAttnUpBlockSpatioTemporal",
      "CrossAttnUpBlockSpatioTemporal",
      "CrossAttnUpBlockSpatioTemporal",
    ]),
  block_out_channels: levelWidths.default([320, 640, 1280, 1280]),
  addition_time_embed_dim: count.multipleOf(2).default(256),
  projection_class_embeddings_input_dim: count.default(768),
  layers_per_block: z.union([layerCount, z.array(layerCount)]).default(2),
  cross_attention_dim: z.union([count, z.array(count)]).default(1024),
  transformer_layers_per_block: z.union([layerCount, z.array(z.union([layerCount, z.array(layerCount)]))]).default(1),
  num_attention_heads: z.union([count, z.array(count)]).default([5, 10, 20, 20]),
  num_frames: count.default(25),
  sample_size: count.nullish().transform((size) => size ?? 96),
});

export interface UnetConfig extends ConditionedLevels {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly additionTimeEmbedDim: number;
  readonly addedTimeIds: number;
  /** The clip length that the checkpoint was trained on. */
  readonly numFrames: number;
  /** Side, in latent pixels, of the square that has the area of the clips it was trained on. */
  readonly sampleSize: number;
  readonly blockOutChannels: readonly number[];
}

/** Reads unet/config.json, with the defaults and the block epsilons of the reference's classes. */
export function unetConfig(raw: unknown): UnetConfig {
  const config = parseConfig("unet", schema, raw);
  const channels = config.block_out_channels;
  const levels = channels.length;
  const each = <T>(key: string, value: T | readonly T[]): T[] => perLevel("unet", key, value, levels);

  const layers = each("layers_per_block", config.layers_per_block);
  const heads = each("num_attention_heads", config.num_attention_heads);
  const contexts = each("cross_attention_dim", config.cross_attention_dim);
  const transformers = each<number | number[]>("transformer_layers_per_block", config.transformer_layers_per_block);
  const downTypes = each("down_block_types", config.down_block_types);
  const upTypes = each("up_block_types", config.up_block_types);

  if (new Set(contexts).size > 1) {
    throw invalid(`cross_attention_dim is [${contexts}]: one image embedding cannot have several widths`);
  }
  if (config.projection_class_embeddings_input_dim % config.addition_time_embed_dim !== 0) {
    throw invalid(
      `projection_class_embeddings_input_dim ${config.projection_class_embeddings_input_dim} is no multiple of addition_time_embed_dim ${config.addition_time_embed_dim}`,
    );
  }

  function level(index: number, blocks: number, eps: number, hasAttention: boolean): UnetLevel {
    const base = { channels: channels[index]!, layers: blocks, eps };
    if (!hasAttention) return base;
    if (channels[index]! % heads[index]! !== 0) {
      throw invalid(
        `${channels[index]} channels of level ${index} cannot be split among ${heads[index]} attention heads`,
      );
    }
    const transformer = transformers[index]!;
    const transformerLayers = Array.isArray(transformer) ? transformer : Array<number>(blocks).fill(transformer);
    if (transformerLayers.length < blocks) {
      throw invalid(
        `transformer_layers_per_block[${index}] has ${transformerLayers.length} entries, a block of ${blocks} layers needs as many`,
      );
    }
    return { ...base, attention: { heads: heads[index]!, transformerLayers } };
  }

  return {
    inChannels: config.in_channels,
    outChannels: config.out_channels,
    additionTimeEmbedDim: config.addition_time_embed_dim,
    addedTimeIds: config.projection_class_embeddings_input_dim / config.addition_time_embed_dim,
    contextChannels: contexts[0]!,
    numFrames: config.num_frames,
    sampleSize: config.sample_size,
    blockOutChannels: channels,
    downLevels: channels.map((_, index) => {
      const hasAttention = downTypes[index] === "CrossAttnDownBlockSpatioTemporal";
      return level(index, layers[index]!, hasAttention ? 1e-6 : 1e-5, hasAttention);
    }),
    midLevel: level(levels - 1, 1, 1e-5, true),
    upLevels: channels.map((_, position) => {
      const index = levels - 1 - position;
      return level(index, layers[index]! + 1, 1e-6, upTypes[position] === "CrossAttnUpBlockSpatioTemporal");
    }),
  };
}

/** The size of one evaluation, in latent pixels. */
export interface UnetSize {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

/** One evaluation, and in how many pieces its feed-forward layers are computed. Default: 1. */
export interface UnetEvaluation extends UnetSize {
  readonly feedForwardPieces?: number | undefined;
}

/**
 * One evaluation for one clip.
 *
 * Inputs: `latents` (frames, 4, height, width), scaled by the sampler; `image_latents` (1, 4, height, width), the same
 * for every frame; `timestep` (1, 1); `added_time_ids` (ids, 1): fps - 1, motion bucket, noise strength;
 * `conditioning`, what the network of that name makes of the image embedding. Output: `sample` (frames, 4, height, width).
 */
export function unet(config: UnetConfig, evaluation: UnetEvaluation): Network {
  return (w, lowering) => {
    const { conditioning, skips } = outerDown(w, lowering, config, evaluation);
    writeSample(w, config, conditioning, deepPart(w, config, conditioning, skips), skips);
  };
}

/** Reads the inputs of an evaluation and writes the layers of the outermost level on the way down, which give its skip connections. */
export function outerDown(w: Weights, lowering: Lowering, config: UnetConfig, evaluation: UnetEvaluation) {
  const { frames, height, width, feedForwardPieces } = evaluation;
  const latents = lowering.inputPlanes("latents", [frames, height, width, config.outChannels]);
  const imageChannels = config.inChannels - config.outChannels;
  const imageLatents = lowering.inputPlanes("image_latents", [1, height, width, imageChannels]);
  const conditioning: Conditioning = {
    time: timeEmbedding(
      w,
      config,
      lowering.input("timestep", [1, 1]),
      lowering.input("added_time_ids", [config.addedTimeIds, 1]),
    ),
    readRows: inputConditioning(lowering, config, frames),
    feedForwardPieces,
  };
  const sample = lowering.concat([latents, lowering.repeat(imageLatents, frames)], 3);
  const h = conv2d(w.at("conv_in"), sample, config.blockOutChannels[0]!);
  const block = downBlock(w.at("down_blocks.0"), h, conditioning, config.downLevels[0]!, { downsample: false });
  return { conditioning, skips: [h, ...block.skips] };
}

/**
 * All levels below the outermost one, from its last skip connection to what enters its up block: (frames, height, width,
 * channels). It does not change `skips`.
 */
export function deepPart(w: Weights, config: UnetConfig, conditioning: Conditioning, skips: Value[]): Value {
  let h = skips.at(-1)!;
  for (const [index, level] of config.downLevels.entries()) {
    const isLast = index === config.downLevels.length - 1;
    const own = index === 0 ? { ...level, layers: 0 } : level; // the outermost level has its layers behind it
    const block = downBlock(w.at("down_blocks").at(index), h, conditioning, own, { downsample: !isLast });
    h = block.output;
    skips.push(...block.skips);
  }
  h = midBlock(w.at("mid_block"), h, conditioning, config.midLevel);
  for (const [index, level] of config.upLevels.slice(0, -1).entries()) {
    h = upBlock(w.at("up_blocks").at(index), h, conditioning, level, skips);
  }
  return h;
}

/** The layers of the outermost level on the way up, and the output. */
export function writeSample(
  w: Weights,
  config: UnetConfig,
  conditioning: Conditioning,
  deepFeature: Value,
  skips: Value[],
): void {
  const last = config.upLevels.length - 1;
  let h = upBlock(w.at("up_blocks").at(last), deepFeature, conditioning, config.upLevels[last]!, skips);
  h = groupNorm(w.at("conv_norm_out"), h, { eps: 1e-5, activation: "silu" });
  h.lowering.outputPlanes("sample", conv2d(w.at("conv_out"), h, config.outChannels));
}

/** The timestep's embedding plus that of the added ids: (1, 4 * first level's channels). */
function timeEmbedding(w: Weights, config: UnetConfig, timestep: Value, addedTimeIds: Value): Value {
  const { add, reshape } = timestep.lowering;
  const channels = config.blockOutChannels[0]!;
  const time = sinusoidalEmbedding(timestep, channels);
  const ids = sinusoidalEmbedding(addedTimeIds, config.additionTimeEmbedDim); // (ids, channels)
  const added = reshape(ids, [1, config.addedTimeIds * config.additionTimeEmbedDim]); // (1, ids * channels)
  return add(
    embeddingProjection(w.at("time_embedding"), time, 4 * channels, 4 * channels),
    embeddingProjection(w.at("add_embedding"), added, 4 * channels, 4 * channels),
  );
}

function invalid(problem: string): StillmotionError {
  return new StillmotionError("invalid-checkpoint", `unet/config.json: ${problem}`);
}
