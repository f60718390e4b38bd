/**
 * Which configuration belongs to given tensors? It is worked out from their shapes, under diffusers' names. Numbers of attention
 * heads leave no trace there, but all published networks have heads of 64 channels in the UNet and of 80 in the image encoder.
 */
import { StillmotionError } from "../../errors.ts";
import type { JsonObject } from "../types.ts";
import type { Tensors } from "./stored-tensors.ts";

const unetHeadSize = 64;
const clipHeadSize = 80;
/** Frames a second, motion bucket and noise strength. */
const addedTimeIds = 3;

/**
 * The config.json of a UNet, without what only its training knows: `num_frames` and `sample_size`. It has no `num_attention_heads`
 * where the widths are no multiples of a head.
 */
export function unetConfigOf(tensors: Tensors, where: string): JsonObject {
  const { size, count, levelsOf } = reader(tensors, where);
  const levels = levelsOf("down_blocks");
  const channels = levels.map((level) => size(`down_blocks.${level}.resnets.0.spatial_res_block.conv1.weight`, 0));
  const hasAttention = (block: string) => count(`${block}.attentions`) > 0;
  const depth = (block: string) => count(`${block}.attentions.0.transformer_blocks`);
  const depths = levels.map((level) => {
    const isLast = level === levels.length - 1;
    return depth(`down_blocks.${level}`) || (isLast ? depth("mid_block") : 0) || 1;
  });
  const idChannels = size("add_embedding.linear_1.weight", 1);
  if (idChannels % addedTimeIds !== 0) {
    throw new StillmotionError(
      "unsupported",
      `${where}: its UNet is told ${idChannels} channels besides the time, not those of three numbers (frames a second, ` +
        "motion bucket, noise): it is made for another task, probably SV3D or SV4D",
    );
  }
  const withHeads = levels.filter((level) => hasAttention(`down_blocks.${level}`) || level === levels.length - 1);
  const heads = channels.map((width) => Math.max(1, Math.floor(width / unetHeadSize)));
  const hasKnownHeads = withHeads.every((level) => channels[level]! % unetHeadSize === 0);
  return {
    _class_name: "UNetSpatioTemporalConditionModel",
    in_channels: size("conv_in.weight", 1),
    out_channels: size("conv_out.weight", 0),
    block_out_channels: channels,
    down_block_types: levels.map((level) =>
      hasAttention(`down_blocks.${level}`) ? "CrossAttnDownBlockSpatioTemporal" : "DownBlockSpatioTemporal",
    ),
    up_block_types: levels.map((level) =>
      hasAttention(`up_blocks.${level}`) ? "CrossAttnUpBlockSpatioTemporal" : "UpBlockSpatioTemporal",
    ),
    layers_per_block: oneOrEach(levels.map((level) => count(`down_blocks.${level}.resnets`))),
    transformer_layers_per_block: oneOrEach(depths),
    cross_attention_dim: size("mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight", 1),
    ...(hasKnownHeads && { num_attention_heads: heads }),
    addition_time_embed_dim: idChannels / addedTimeIds,
    projection_class_embeddings_input_dim: idChannels,
  };
}

/** The config.json of a VAE, without what only its training knows: `sample_size`, `scaling_factor` and `force_upcast`. */
export function vaeConfigOf(tensors: Tensors, where: string): JsonObject {
  const { size, count, levelsOf } = reader(tensors, where);
  const levels = levelsOf("encoder.down_blocks");
  const isTemporal = tensors.has("decoder.time_conv_out.weight");
  const layers = count("encoder.down_blocks.0.resnets");
  if (isTemporal && layers !== 2) {
    // diffusers' temporal decoder has as many ResNet blocks in its middle, the original always two.
    const problem = `its VAE has ${layers} layers a level, which the network of diffusers has no counterpart for`;
    throw new StillmotionError("unsupported", `${where}: ${problem}; expected 2, as in all published checkpoints`);
  }
  return {
    _class_name: isTemporal ? "AutoencoderKLTemporalDecoder" : "AutoencoderKL",
    in_channels: size("encoder.conv_in.weight", 1),
    out_channels: size("decoder.conv_out.weight", 0),
    latent_channels: size("decoder.conv_in.weight", 1),
    block_out_channels: levels.map((level) => size(`encoder.down_blocks.${level}.resnets.0.conv1.weight`, 0)),
    down_block_types: levels.map(() => "DownEncoderBlock2D"),
    layers_per_block: layers,
  };
}

/** The config.json of an image encoder, with the activation and the epsilon of open_clip's ViT-H-14. */
export function clipVisionConfigOf(tensors: Tensors, where: string): JsonObject {
  const { size, count } = reader(tensors, where);
  const channels = size("vision_model.embeddings.class_embedding", 0);
  const patchSize = size("vision_model.embeddings.patch_embedding.weight", 2);
  const side = Math.sqrt(size("vision_model.embeddings.position_embedding.weight", 0) - 1);
  if (channels % clipHeadSize !== 0) {
    refuse(where, `its image encoder is ${channels} wide, expected a multiple of ${clipHeadSize}, the size of a head`);
  }
  if (!Number.isInteger(side)) refuse(where, "its image encoder has positions for a picture that is no square");
  return {
    architectures: ["CLIPVisionModelWithProjection"],
    hidden_size: channels,
    intermediate_size: size("vision_model.encoder.layers.0.mlp.fc1.weight", 0),
    projection_dim: size("visual_projection.weight", 0),
    num_hidden_layers: count("vision_model.encoder.layers"),
    num_attention_heads: channels / clipHeadSize,
    num_channels: size("vision_model.embeddings.patch_embedding.weight", 1),
    image_size: patchSize * side,
    patch_size: patchSize,
    hidden_act: "gelu",
    layer_norm_eps: 1e-5,
  };
}

/** Throws unless the head counts of a UNet are known. */
export function assertHeadsKnown(config: JsonObject, where: string): void {
  if (config.num_attention_heads !== undefined) return;
  const widths = (config.block_out_channels as number[]).join(", ");
  refuse(
    where,
    `its UNet has attention at widths of ${widths}, expected multiples of ${unetHeadSize}, the size of a head`,
  );
}

/** Each level is looked for among all tensors, so a hostile number of levels would take forever. */
const maxLevels = 16;

function reader(tensors: Tensors, where: string) {
  /** How many numbered steps follow `list`. */
  function count(list: string): number {
    const numbers = new Set<string>();
    for (const name of tensors.keys()) {
      if (name.startsWith(`${list}.`)) numbers.add(name.slice(list.length + 1).split(".", 1)[0]!);
    }
    return numbers.size;
  }
  return {
    count,
    /** 0, 1, ... of the blocks in `list`. */
    levelsOf(list: string): number[] {
      const length = count(list);
      if (length > maxLevels) refuse(where, `has ${length} levels in ${list}, expected ${maxLevels} at most`);
      return Array.from({ length }, (_, level) => level);
    },
    /** One axis of a tensor that must be there. */
    size(name: string, axis: number): number {
      const shape = tensors.get(name)?.shape;
      if (shape === undefined) refuse(where, `holds no tensor for ${name}: is it all of the checkpoint?`);
      const found = shape[axis];
      if (found === undefined || found === 0) refuse(where, `the tensor for ${name} has shape [${shape.join(", ")}]`);
      return found;
    },
  };
}

/** Equal values as one, `[2, 2, 2]` as 2, as published configurations have it. */
function oneOrEach(values: readonly number[]): number | readonly number[] {
  return new Set(values).size === 1 ? values[0]! : values;
}

function refuse(where: string, problem: string): never {
  throw new StillmotionError("invalid-checkpoint", `${where}: ${problem}`);
}
