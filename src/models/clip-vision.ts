/** How is the image encoder written? transformers' `CLIPVisionModelWithProjection` (Radford et al. 2021). */
import { z } from "zod";
import { StillmotionError } from "../errors.ts";
import type { Value } from "../lowering/lowering.ts";
import { conv2d } from "../nn/convolution.ts";
import { linear } from "../nn/linear.ts";
import { layerNorm } from "../nn/norm.ts";
import type { Weights } from "../weights/view.ts";
import { count, layerCount, parseConfig } from "./config.ts";
import type { Network } from "./network.ts";

const schema = z.object({
  hidden_size: count.default(768),
  intermediate_size: count.default(3072),
  projection_dim: count.default(512),
  num_hidden_layers: layerCount.default(12),
  num_attention_heads: count.default(12),
  num_channels: z.literal(3).default(3),
  image_size: count.default(224),
  patch_size: count.default(32),
  hidden_act: z.enum(["quick_gelu", "gelu"]).default("quick_gelu"),
  layer_norm_eps: z.number().positive().default(1e-5),
});

export interface ClipVisionConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly projectionDim: number;
  readonly layers: number;
  readonly heads: number;
  readonly imageSize: number;
  readonly patchSize: number;
  readonly activation: "quick_gelu" | "gelu";
  readonly eps: number;
}

/** Reads image_encoder/config.json. */
export function clipVisionConfig(raw: unknown): ClipVisionConfig {
  const config = parseConfig("image_encoder", schema, raw);
  if (config.hidden_size % config.num_attention_heads !== 0) {
    throw new StillmotionError(
      "invalid-checkpoint",
      `image_encoder/config.json: hidden_size ${config.hidden_size} cannot be split among ${config.num_attention_heads} attention heads`,
    );
  }
  return {
    hiddenSize: config.hidden_size,
    intermediateSize: config.intermediate_size,
    projectionDim: config.projection_dim,
    layers: config.num_hidden_layers,
    heads: config.num_attention_heads,
    imageSize: config.image_size,
    patchSize: config.patch_size,
    activation: config.hidden_act,
    eps: config.layer_norm_eps,
  };
}

/** Input: `pixel_values` (1, 3, image size, image size). Output: `image_embedding` (1, projection channels). */
export function clipVision(config: ClipVisionConfig): Network {
  return (w, lowering) => {
    const pixels = lowering.inputPlanes("pixel_values", [1, config.imageSize, config.imageSize, 3]);
    const vision = w.at("vision_model");
    let h = layerNorm(vision.at("pre_layrnorm"), clipEmbeddings(vision.at("embeddings"), pixels, config), config.eps);
    for (let layer = 0; layer < config.layers; layer++) {
      h = clipLayer(vision.at("encoder.layers").at(layer), h, config);
    }
    const classToken = lowering.reshape(lowering.select(h, 1, 0), [1, config.hiddenSize]); // (1, channels)
    const pooled = layerNorm(vision.at("post_layernorm"), classToken, config.eps);
    lowering.output("image_embedding", linear(w.at("visual_projection"), pooled, config.projectionDim, "without bias"));
  };
}

/** The class token, then one token for each patch, with their positions added: (1, 1 + patches, channels). */
export function clipEmbeddings(w: Weights, pixels: Value, config: ClipVisionConfig): Value {
  const { add, concat, parameter, reshape } = pixels.lowering;
  const { hiddenSize, patchSize } = config;
  const patches = conv2d(w.at("patch_embedding"), pixels, hiddenSize, {
    kernel: patchSize,
    stride: patchSize,
    padding: [0, 0, 0, 0],
    bias: "without bias",
  });
  const patchCount = patches.shape[1]! * patches.shape[2]!;
  const patchTokens = reshape(patches, [1, patchCount, hiddenSize]); // (1, patches, channels)
  const classToken = reshape(parameter(w.tensor("class_embedding", [hiddenSize])), [1, 1, hiddenSize]);
  w.withoutEffect("position_ids");
  const positions = w.tensor("position_embedding.weight", [patchCount + 1, hiddenSize]);
  return add(concat([classToken, patchTokens], 1), reshape(parameter(positions), [1, patchCount + 1, hiddenSize]));
}

/** One transformer layer, norms first. */
export function clipLayer(w: Weights, x: Value, config: ClipVisionConfig): Value {
  const { activation, add, attention } = x.lowering;
  const { hiddenSize, intermediateSize, eps } = config;
  const normed = layerNorm(w.at("layer_norm1"), x, eps);
  const self = w.at("self_attn");
  const [q, k, v] = ["q_proj", "k_proj", "v_proj"].map((name) => linear(self.at(name), normed, hiddenSize)) as [
    Value,
    Value,
    Value,
  ];
  const h = add(x, linear(self.at("out_proj"), attention(q, k, v, config.heads), hiddenSize));
  const hidden = linear(w.at("mlp.fc1"), layerNorm(w.at("layer_norm2"), h, eps), intermediateSize);
  return add(h, linear(w.at("mlp.fc2"), activation(hidden, config.activation), hiddenSize));
}
