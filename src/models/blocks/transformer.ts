/** How is the transformer of a UNet level written: attention among the pixels of a frame, then among a pixel's frames? */
import type { Value } from "../../lowering/lowering.ts";
import { attentionOutput, queriesKeysValues, selfAttention } from "../../nn/attention.ts";
import { feedForward } from "../../nn/feed-forward.ts";
import { linear } from "../../nn/linear.ts";
import { groupNorm, layerNorm } from "../../nn/norm.ts";
import type { Weights } from "../../weights/view.ts";
import type { ReadRows } from "./conditioning-rows.ts";
import { mixShare } from "./time-mixer.ts";

/** diffusers' `TransformerSpatioTemporalModel`. The rows of its cross-attention and of the frames' numbers come from outside. */
export function spatioTemporalTransformer(
  w: Weights,
  x: Value,
  readRows: ReadRows,
  options: { heads: number; layers: number; feedForwardPieces?: number | undefined },
): Value {
  const { add, itemByItem, reshape } = x.lowering;
  const [frames, height, width, channels] = x.shape as [number, number, number, number];

  const tokens = reshape(x, [frames, height * width, channels]); // (frames, tokens, channels)
  let [h] = itemByItem([tokens], hiddenNumbers(tokens), ([each]) => [
    linear(w.at("proj_in"), groupNorm(w.at("norm"), each!, { eps: 1e-6 }), channels),
  ]);
  const positions = reshape(readRows(w.at("time_pos_embed"), [frames, channels]), [frames, 1, channels]);
  const share = mixShare(w.at("time_mixer"), x);
  for (let layer = 0; layer < options.layers; layer++) {
    const spatial = spatialBlock(w.at("transformer_blocks").at(layer), h!, readRows, options);
    const temporal = w.at("temporal_transformer_blocks").at(layer);
    h = blendedTemporalBlock(temporal, spatial, { positions, share }, readRows, options);
  }
  const [result] = itemByItem([h!, tokens], hiddenNumbers(tokens), ([each, given]) => [
    add(linear(w.at("proj_out"), each!, channels), given!),
  ]);
  return reshape(result!, x.shape);
}

interface BlockOptions {
  readonly heads: number;
  readonly feedForwardPieces?: number | undefined;
}

/** diffusers' `BasicTransformerBlock`. */
export function spatialBlock(
  w: Weights,
  x: Value,
  readRows: ReadRows,
  { heads, feedForwardPieces }: BlockOptions,
): Value {
  const { add, itemByItem } = x.lowering;
  const crossAttended = crossAttention(w, x, readRows);
  const [result] = itemByItem([x], hiddenNumbers(x), ([frame]) => {
    let h = add(frame!, selfAttention(w.at("attn1"), layerNorm(w.at("norm1"), frame!), heads, "without bias"));
    h = add(h, crossAttended);
    return [add(h, feedForward(w.at("ff"), layerNorm(w.at("norm3"), h), feedForwardPieces))];
  });
  return result!;
}

/**
 * diffusers' `TemporalBasicTransformerBlock` of a map plus the positions of its frames (frames, 1, channels), blended with the
 * map.
 *
 * @param share the map's share in the blend
 */
export function blendedTemporalBlock(
  w: Weights,
  x: Value,
  { positions, share }: { positions: Value; share: Value },
  readRows: ReadRows,
  { heads, feedForwardPieces }: BlockOptions,
): Value {
  const { add, attentionAcrossItems, blend, itemByItem } = x.lowering;
  const crossAttended = crossAttention(w, x, readRows);
  const [entered, q, k, v] = itemByItem([x, positions], hiddenNumbers(x), ([spatial, position]) => {
    const frame = add(spatial!, position!);
    const h = add(frame, feedForward(w.at("ff_in"), layerNorm(w.at("norm_in"), frame), feedForwardPieces));
    return [h, ...queriesKeysValues(w.at("attn1"), layerNorm(w.at("norm1"), h), "without bias")];
  }) as [Value, Value, Value, Value];
  const attended = attentionAcrossItems(q, k, v, heads);
  const [result] = itemByItem([x, entered, attended], hiddenNumbers(x), ([spatial, before, frame]) => {
    const h = add(add(before!, attentionOutput(w.at("attn1"), frame!)), crossAttended);
    const temporal = add(h, feedForward(w.at("ff"), layerNorm(w.at("norm3"), h), feedForwardPieces));
    return [blend(spatial!, temporal, share)];
  });
  return result!;
}

/** How many numbers the tokens of one item have in the hidden layer of a feed-forward. */
function hiddenNumbers({ shape }: Value): number {
  return 4 * shape[1]! * shape[2]!;
}

/** One row for every token, (1, channels): the norm before it has no effect, see crossAttentionToOneToken. */
function crossAttention(w: Weights, x: Value, readRows: ReadRows): Value {
  const channels = x.shape[2]!;
  for (const parameter of ["weight", "bias"]) w.at("norm2").tensor(parameter, [channels]);
  return readRows(w.at("attn2"), [1, channels]);
}
