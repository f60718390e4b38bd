/**
 * How are the two halves of the VAE written? A 2-D encoder with the temporal decoder of diffusers'
 * `AutoencoderKLTemporalDecoder`, or with the frame-wise one of its `AutoencoderKL`.
 */
import { z } from "zod";
import type { Padding, Value } from "../lowering/lowering.ts";
import { selfAttention } from "../nn/attention.ts";
import { conv2d, downsample, temporalConv, upsample } from "../nn/convolution.ts";
import { groupNorm } from "../nn/norm.ts";
import type { Component } from "../weights/types.ts";
import { rows, type Weights } from "../weights/view.ts";
import { resnetBlock, spatioTemporalResBlock } from "./blocks/resnet.ts";
import { mixShare } from "./blocks/time-mixer.ts";
import { count, layerCount, levelWidths, parseConfig, perLevel } from "./config.ts";
import type { Network } from "./network.ts";

const schema = z.object({
  _class_name: z.enum(["AutoencoderKLTemporalDecoder", "AutoencoderKL"]).default("AutoencoderKLTemporalDecoder"),
  in_channels: z.literal(3).default(3),
  out_channels: z.literal(3).default(3),
  down_block_types: z.array(z.literal("DownEncoderBlock2D")).default(["DownEncoderBlock2D"]),
  block_out_channels: levelWidths.default([64]),
  layers_per_block: layerCount.default(1),
  latent_channels: count.default(4),
  sample_size: z.union([count, z.array(count)]).nullish(),
  scaling_factor: z.number().positive().default(0.18215),
  force_upcast: z.boolean().default(true),
  use_quant_conv: z.boolean().default(true),
  use_post_quant_conv: z.boolean().default(true),
});

export interface VaeConfig {
  /** Whether the decoder looks across frames, or decodes each by itself. */
  readonly decoder: "temporal" | "frame-wise";
  readonly blockOutChannels: readonly number[];
  readonly layersPerBlock: number;
  readonly latentChannels: number;
  readonly scalingFactor: number;
  /** The 1x1 convolutions after the encoder and, where each frame is decoded by itself, before the decoder. */
  readonly quantConvs: { readonly encoder: "there" | "left out"; readonly decoder: "there" | "left out" };
  /** Pixels along one edge of a latent pixel. */
  readonly scale: number;
}

/** Reads vae/config.json. */
export function vaeConfig(raw: unknown): VaeConfig {
  const config = parseConfig("vae", schema, raw);
  const channels = config.block_out_channels;
  perLevel("vae", "down_block_types", config.down_block_types, channels.length);
  return {
    decoder: config._class_name === "AutoencoderKL" ? "frame-wise" : "temporal",
    blockOutChannels: channels,
    layersPerBlock: config.layers_per_block,
    latentChannels: config.latent_channels,
    scalingFactor: config.scaling_factor,
    quantConvs: {
      encoder: config.use_quant_conv ? "there" : "left out",
      decoder: config.use_post_quant_conv ? "there" : "left out",
    },
    scale: 2 ** (channels.length - 1),
  };
}

const eps = 1e-6;
const temporalEps = 1e-5;
const belowAndRight: Padding = [0, 0, 1, 1];

/** The tensors of one half; together the two halves hold all of the component's. */
export function vaeHalf(vae: Component, half: "encoder" | "decoder"): Component {
  const isDecoder = (name: string) => /^(decoder|post_quant_conv)\./.test(name);
  const tensors = new Map([...vae.tensors].filter(([name]) => isDecoder(name) === (half === "decoder")));
  return { ...vae, tensors };
}

/**
 * Input: `image` (1, height, width, 3) in [-1, 1]. Output: `latents` (1, 4, height / scale, width / scale), the mode of
 * the posterior, not scaled.
 */
export function vaeEncoder(config: VaeConfig, size: { height: number; width: number }): Network {
  return (weights, lowering) => {
    const w = weights.at("encoder");
    const channels = config.blockOutChannels;
    let h = conv2d(w.at("conv_in"), lowering.input("image", [1, size.height, size.width, 3]), channels[0]!);
    for (const index of channels.keys()) h = encoderDownBlock(w.at("down_blocks").at(index), h, config, index);
    h = encoderMidBlock(w.at("mid_block"), h);
    h = groupNorm(w.at("conv_norm_out"), h, { eps, activation: "silu" });
    lowering.outputPlanes("latents", posteriorMode(weights, h, config));
  };
}

/** diffusers' `DownEncoderBlock2D`: ResNet blocks, then half the size, except at the last level. */
export function encoderDownBlock(w: Weights, x: Value, config: VaeConfig, index: number): Value {
  let h = x;
  for (let layer = 0; layer < config.layersPerBlock; layer++) {
    h = resnetBlock(w.at("resnets").at(layer), [h], config.blockOutChannels[index]!, eps);
  }
  return index < config.blockOutChannels.length - 1 ? downsample(w.at("downsamplers.0"), h, belowAndRight) : h;
}

/** diffusers' `UNetMidBlock2D`: ResNet block, attention, ResNet block. */
export function encoderMidBlock(w: Weights, x: Value): Value {
  const channels = x.shape[3]!;
  const h = pixelAttention(w.at("attentions.0"), resnetBlock(w.at("resnets.0"), [x], channels, eps));
  return resnetBlock(w.at("resnets.1"), [h], channels, eps);
}

/** The first half of the moments is the mean, which is the mode; the variance is never computed. */
function posteriorMode(w: Weights, x: Value, { latentChannels: channels, quantConvs }: VaeConfig): Value {
  const convOut = w.at("encoder.conv_out");
  if (quantConvs.encoder === "left out") return firstChannels(convOut, x, channels, 3);
  return firstChannels(w.at("quant_conv"), conv2d(convOut, x, 2 * channels), channels, 1);
}

/** The first half of the channels of a square convolution to twice as many. */
function firstChannels(w: Weights, x: Value, channels: number, kernel: number): Value {
  const weight = w.tensor("weight", [2 * channels, x.shape[3]!, kernel, kernel]);
  const bias = w.tensor("bias", [2 * channels]);
  const edge = Math.floor(kernel / 2);
  const options = { stride: 1, padding: [edge, edge, edge, edge] as const };
  return x.lowering.conv2d(x, rows(weight, 0, channels), rows(bias, 0, channels), options);
}

interface DecoderSize {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

/**
 * Input: `latents` (frames, 4, height, width), already divided by the scaling factor.
 * Output: `frames` (frames, scale * height, scale * width, 3), nominally in [-1, 1].
 */
export function vaeDecoder(config: VaeConfig, size: DecoderSize): Network {
  return { temporal: vaeTemporalDecoder, "frame-wise": vaeImageDecoder }[config.decoder](config, size);
}

/** See {@link vaeDecoder}. */
function vaeTemporalDecoder(config: VaeConfig, size: DecoderSize): Network {
  return (weights, lowering) => {
    const w = weights.at("decoder");
    const latents = lowering.inputPlanes("latents", [size.frames, size.height, size.width, config.latentChannels]);
    const channels = config.blockOutChannels;
    let h = conv2d(w.at("conv_in"), latents, channels.at(-1)!);
    h = decoderMidBlock(w.at("mid_block"), h, config.layersPerBlock);
    for (const index of channels.keys()) h = decoderUpBlock(w.at("up_blocks").at(index), h, config, index);
    h = groupNorm(w.at("conv_norm_out"), h, { eps, activation: "silu" });
    h = conv2d(w.at("conv_out"), h, 3);
    lowering.output("frames", temporalConv(w.at("time_conv_out"), h, 3));
  };
}

/** See {@link vaeDecoder}. It is the decoder of Stable Diffusion, to which each frame is a picture. */
function vaeImageDecoder(config: VaeConfig, size: DecoderSize): Network {
  return (weights, lowering) => {
    const w = weights.at("decoder");
    const latents = lowering.inputPlanes("latents", [size.frames, size.height, size.width, config.latentChannels]);
    const channels = config.blockOutChannels.toReversed();
    const isThere = config.quantConvs.decoder === "there";
    let h = isThere ? conv2d(weights.at("post_quant_conv"), latents, config.latentChannels, { kernel: 1 }) : latents;
    h = conv2d(w.at("conv_in"), h, channels[0]!);
    h = encoderMidBlock(w.at("mid_block"), h); // the same block in both halves
    for (const index of channels.keys()) {
      const block = w.at("up_blocks").at(index);
      for (let layer = 0; layer <= config.layersPerBlock; layer++) {
        h = resnetBlock(block.at("resnets").at(layer), [h], channels[index]!, eps);
      }
      if (index < channels.length - 1) h = upsample(block.at("upsamplers.0"), h);
    }
    h = groupNorm(w.at("conv_norm_out"), h, { eps, activation: "silu" });
    lowering.output("frames", conv2d(w.at("conv_out"), h, 3));
  };
}

/**
 * diffusers' `MidBlockTemporalDecoder`. It pairs its ResNet blocks, from the second on, with its single attention. So with one
 * layer the attention is never run, and with three the third block is not, though the checkpoint holds their weights.
 */
export function decoderMidBlock(w: Weights, x: Value, layers: number): Value {
  const channels = x.shape[3]!;
  const h = decoderResnet(w.at("resnets.0"), x, channels);
  for (let layer = 2; layer < layers; layer++) w.withoutEffect(`resnets.${layer}`);
  if (layers === 1) {
    w.withoutEffect("attentions.0");
    return h;
  }
  return decoderResnet(w.at("resnets.1"), pixelAttention(w.at("attentions.0"), h), channels);
}

/** diffusers' `UpBlockTemporalDecoder`: one ResNet block more than the encoder has, then twice the size, except at the last level. */
export function decoderUpBlock(w: Weights, x: Value, config: VaeConfig, index: number): Value {
  const channels = config.blockOutChannels.toReversed();
  let h = x;
  for (let layer = 0; layer <= config.layersPerBlock; layer++) {
    h = decoderResnet(w.at("resnets").at(layer), h, channels[index]!);
  }
  return index < channels.length - 1 ? upsample(w.at("upsamplers.0"), h) : h;
}

function decoderResnet(w: Weights, x: Value, outputs: number): Value {
  return spatioTemporalResBlock(w, [x], outputs, { eps, temporalEps, temporalShare: mixShare });
}

/** Single-head attention among the pixels of each frame, with its own norm and residual. */
export function pixelAttention(w: Weights, x: Value): Value {
  const { add, reshape } = x.lowering;
  const [frames, height, width, channels] = x.shape as [number, number, number, number];
  const tokens = reshape(x, [frames, height * width, channels]); // (frames, tokens, channels)
  const attended = selfAttention(w, groupNorm(w.at("group_norm"), tokens, { eps }), 1, "with bias");
  return reshape(add(tokens, attended), x.shape);
}
