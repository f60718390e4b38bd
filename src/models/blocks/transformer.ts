/** How is the transformer of a UNet level written: attention among the pixels of a frame, then among a pixel's frames? */
import type { Value } from "../../lowering/lowering.ts";
import { selfAttention } from "../../nn/attention.ts";
import { feedForward } from "../../nn/feed-forward.ts";
import { linear } from "../../nn/linear.ts";
import { groupNorm, layerNorm } from "../../nn/norm.ts";
import type { Weights } from "../../weights/view.ts";
import type { ReadRows } from "./conditioning-rows.ts";
import { mixShare } from "./time-mixer.ts";

/** diffusers' `TransformerSpatioTemporalModel`, with the rows of its cross-attention and of the frames' numbers as they are read. */
export function spatioTemporalTransformer(
  w: Weights,
  x: Value,
  readRows: ReadRows,
  options: { heads: number; layers: number; feedForwardPieces?: number | undefined },
): Value {
  const { add, blend, itemByItem, reshape } = x.lowering;
  const [frames, height, width, channels] = x.shape as [number, number, number, number];

  const tokens = reshape(x, [frames, height * width, channels]); // (frames, tokens, channels)
  let h = itemByItem([tokens], height * width * channels, ([each]) =>
    linear(w.at("proj_in"), groupNorm(w.at("norm"), each!, { eps: 1e-6 }), channels),
  );
  const positions = reshape(readRows(w.at("time_pos_embed"), [frames, channels]), [frames, 1, channels]);
  const share = mixShare(w.at("time_mixer"), x);
  const { heads, feedForwardPieces } = options;
  for (let layer = 0; layer < options.layers; layer++) {
    const spatial = spatialBlock(w.at("transformer_blocks").at(layer), h, readRows, heads, feedForwardPieces);
    const temporal = temporalBlock(
      w.at("temporal_transformer_blocks").at(layer),
      add(spatial, positions),
      readRows,
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
  readRows: ReadRows,
  heads: number,
  feedForwardPieces?: number | undefined,
): Value {
  const { add, itemByItem } = x.lowering;
  const crossAttended = crossAttention(w, x, readRows);
  return itemByItem([x], hiddenNumbers(x), ([frame]) => {
    let h = add(frame!, selfAttention(w.at("attn1"), layerNorm(w.at("norm1"), frame!), heads, "without bias"));
    h = add(h, crossAttended);
    return add(h, feedForward(w.at("ff"), layerNorm(w.at("norm3"), h), feedForwardPieces));
  });
}

/** diffusers' `TemporalBasicTransformerBlock`. */
export function temporalBlock(
  w: Weights,
  x: Value,
  readRows: ReadRows,
  heads: number,
  feedForwardPieces?: number | undefined,
): Value {
  const { add, itemByItem } = x.lowering;
  const entered = itemByItem([x], hiddenNumbers(x), ([frame]) =>
    add(frame!, feedForward(w.at("ff_in"), layerNorm(w.at("norm_in"), frame!), feedForwardPieces)),
  );
  const normed = layerNorm(w.at("norm1"), entered);
  const attended = selfAttention(w.at("attn1"), normed, heads, "without bias", "items");
  const crossAttended = crossAttention(w, x, readRows);
  return itemByItem([entered, attended], hiddenNumbers(x), ([before, added]) => {
    const h = add(add(before!, added!), crossAttended);
    return add(h, feedForward(w.at("ff"), layerNorm(w.at("norm3"), h), feedForwardPieces));
  });
}

/** Of an item's tokens in the hidden layer of a feed-forward. */
function hiddenNumbers({ shape }: Value): number {
  return 4 * shape[1]! * shape[2]!;
}

/** One row for every token, (1, channels): the norm before it has no effect, see crossAttentionToOneToken. */
function crossAttention(w: Weights, x: Value, readRows: ReadRows): Value {
  const channels = x.shape[2]!;
  for (const parameter of ["weight", "bias"]) w.at("norm2").tensor(parameter, [channels]);
  return readRows(w.at("attn2"), [1, channels]);
}
