/** How is the transformer of a UNet level written: attention among the pixels of a frame, then among a pixel's frames? */
import type { Value } from "../../lowering/lowering.ts";
import { crossAttentionToOneToken, selfAttention } from "../../nn/attention.ts";
import { embeddingProjection, sinusoidalEmbedding } from "../../nn/embedding.ts";
import { feedForward } from "../../nn/feed-forward.ts";
import { linear } from "../../nn/linear.ts";
import { groupNorm, layerNorm } from "../../nn/norm.ts";
import type { Weights } from "../../weights/view.ts";
import { mixShare } from "./time-mixer.ts";

/** diffusers' `TransformerSpatioTemporalModel`. `context` is the image embedding, (1, channels). */
export function spatioTemporalTransformer(
  w: Weights,
  x: Value,
  context: Value,
  options: { heads: number; layers: number; feedForwardPieces?: number | undefined },
): Value {
  const { add, blend, reshape } = x.lowering;
  const [frames, height, width, channels] = x.shape as [number, number, number, number];

  const tokens = reshape(x, [frames, height * width, channels]); // (frames, tokens, channels)
  let h = linear(w.at("proj_in"), groupNorm(w.at("norm"), tokens, { eps: 1e-6 }), channels);
  const positions = framePositions(w.at("time_pos_embed"), x);
  const share = mixShare(w.at("time_mixer"), x);
  const { heads, feedForwardPieces } = options;
  for (let layer = 0; layer < options.layers; layer++) {
    const spatial = spatialBlock(w.at("transformer_blocks").at(layer), h, context, heads, feedForwardPieces);
    const temporal = temporalBlock(
      w.at("temporal_transformer_blocks").at(layer),
      add(spatial, positions),
      context,
      heads,
      feedForwardPieces,
    );
    h = blend(spatial, temporal, share);
  }
  return reshape(add(linear(w.at("proj_out"), h, channels), tokens), x.shape);
}

/** diffusers' `BasicTransformerBlock`. */
export function spatialBlock(
  w: Weights,
  x: Value,
  context: Value,
  heads: number,
  feedForwardPieces?: number | undefined,
): Value {
  const { add } = x.lowering;
  let h = add(x, selfAttention(w.at("attn1"), layerNorm(w.at("norm1"), x), heads, "without bias"));
  h = add(h, crossAttention(w, h, context));
  return add(h, feedForward(w.at("ff"), layerNorm(w.at("norm3"), h), feedForwardPieces));
}

/** diffusers' `TemporalBasicTransformerBlock`. What acts on each token alone is left in the frames' order. */
export function temporalBlock(
  w: Weights,
  x: Value,
  context: Value,
  heads: number,
  feedForwardPieces?: number | undefined,
): Value {
  const { add, swapBatchAndTokens } = x.lowering;
  let h = add(x, feedForward(w.at("ff_in"), layerNorm(w.at("norm_in"), x), feedForwardPieces));
  const pixels = swapBatchAndTokens(layerNorm(w.at("norm1"), h)); // (tokens, frames, channels)
  h = add(h, swapBatchAndTokens(selfAttention(w.at("attn1"), pixels, heads, "without bias"))); // (frames, tokens, channels)
  h = add(h, crossAttention(w, h, context));
  return add(h, feedForward(w.at("ff"), layerNorm(w.at("norm3"), h), feedForwardPieces));
}

function crossAttention(w: Weights, x: Value, context: Value): Value {
  const channels = x.shape[2]!;
  for (const parameter of ["weight", "bias"]) w.at("norm2").tensor(parameter, [channels]);
  return crossAttentionToOneToken(w.at("attn2"), context, channels); // (1, channels)
}

/** (frames, 1, channels): the embedding of each frame's number. */
function framePositions(w: Weights, x: Value): Value {
  const { constant, reshape } = x.lowering;
  const [frames, , , channels] = x.shape as [number, number, number, number];
  const numbers = constant(
    [frames, 1],
    Float32Array.from({ length: frames }, (_, frame) => frame),
  );
  const embedded = embeddingProjection(w, sinusoidalEmbedding(numbers, channels), 4 * channels, channels);
  return reshape(embedded, [frames, 1, channels]);
}
