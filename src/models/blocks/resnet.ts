/** How are ResNet blocks written: within each frame, across frames, and the blend of both? */
import type { Value } from "../../lowering/lowering.ts";
import { conv2d, temporalConv } from "../../nn/convolution.ts";
import { linear } from "../../nn/linear.ts";
import { groupNorm } from "../../nn/norm.ts";
import type { Weights } from "../../weights/view.ts";

/**
 * Norm, SiLU and convolution, twice. The time embedding (1, channels) is added in between.
 *
 * @param parts feature maps whose channels together are the input
 */
export function resnetBlock(w: Weights, parts: readonly Value[], outputs: number, eps: number, time?: Value): Value {
  const { add, concat, itemByItem } = parts[0]!.lowering;
  const [, height, width] = parts[0]!.shape as [number, number, number];
  const inputs = parts.reduce((sum, { shape }) => sum + shape[3]!, 0);
  const timeRow = time && timeProjection(w, time, outputs);
  const [result] = itemByItem(parts, height * width * Math.max(inputs, outputs), (each) => {
    const x = each.length === 1 ? each[0]! : concat(each, 3);
    let h = conv2d(w.at("conv1"), groupNorm(w.at("norm1"), x, { eps, activation: "silu" }), outputs);
    if (timeRow) h = add(h, timeRow);
    h = conv2d(w.at("conv2"), groupNorm(w.at("norm2"), h, { eps, activation: "silu" }), outputs);
    const skip = inputs === outputs ? x : conv2d(w.at("conv_shortcut"), x, outputs, { kernel: 1 });
    return [add(skip, h)];
  });
  return result!;
}

/**
 * A ResNet block within each frame, then one across frames, blended.
 *
 * The blend `a * x + (1 - a) * (x + h)` is `x + (1 - a) * h`, so (1 - a) is a gain of the last convolution.
 * @param parts feature maps whose channels together are the input
 * @param options `temporalShare` makes (1 - a) of the mix factor, which differs between the two networks: see time-mixer.ts
 */
export function spatioTemporalResBlock(
  w: Weights,
  parts: readonly Value[],
  outputs: number,
  options: { eps: number; temporalEps?: number; temporalShare: (mixer: Weights, x: Value) => Value; time?: Value },
): Value {
  const { eps, temporalEps = eps, time } = options;
  const spatial = resnetBlock(w.at("spatial_res_block"), parts, outputs, eps, time);
  const { add } = spatial.lowering;

  const t = w.at("temporal_res_block");
  const norm = { eps: temporalEps, over: "clip", activation: "silu" } as const;
  let h = temporalConv(t.at("conv1"), groupNorm(t.at("norm1"), spatial, norm), outputs);
  if (time) h = add(h, timeProjection(t, time, outputs));
  const share = options.temporalShare(w.at("time_mixer"), spatial);
  h = temporalConv(t.at("conv2"), groupNorm(t.at("norm2"), h, norm), outputs, share);
  return add(spatial, h);
}

function timeProjection(w: Weights, time: Value, outputs: number): Value {
  return linear(w.at("time_emb_proj"), time.lowering.activation(time, "silu"), outputs);
}
