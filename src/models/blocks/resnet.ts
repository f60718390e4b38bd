/** How are ResNet blocks written: within each frame, across frames, and the blend of both? */
import type { Value } from "../../lowering/lowering.ts";
import { conv2d, temporalConv } from "../../nn/convolution.ts";
import { linear } from "../../nn/linear.ts";
import { groupNorm } from "../../nn/norm.ts";
import type { Weights } from "../../weights/view.ts";

/** norm, SiLU, conv, twice; the time embedding (1, channels) is added in between. */
export function resnetBlock(w: Weights, x: Value, outputs: number, eps: number, time?: Value): Value {
  const { add, itemByItem } = x.lowering;
  const [, height, width, inputs] = x.shape as [number, number, number, number];
  const timeRow = time && timeProjection(w, time, outputs);
  return itemByItem([x], height * width * Math.max(inputs, outputs), ([frame]) => {
    let h = conv2d(w.at("conv1"), groupNorm(w.at("norm1"), frame!, { eps, activation: "silu" }), outputs);
    if (timeRow) h = add(h, timeRow);
    h = conv2d(w.at("conv2"), groupNorm(w.at("norm2"), h, { eps, activation: "silu" }), outputs);
    const skip = inputs === outputs ? frame! : conv2d(w.at("conv_shortcut"), frame!, outputs, { kernel: 1 });
    return add(skip, h);
  });
}

/**
 * A ResNet block within each frame, then one across frames, blended.
 *
 * The blend `a * x + (1 - a) * (x + h)` is `x + (1 - a) * h`, so (1 - a) is a gain of the last convolution.
 * `temporalShare` reads (1 - a) off the mix factor, which the two networks do differently: see time-mixer.ts.
 */
export function spatioTemporalResBlock(
  w: Weights,
  x: Value,
  outputs: number,
  options: { eps: number; temporalEps?: number; temporalShare: (mixer: Weights, x: Value) => Value; time?: Value },
): Value {
  const { eps, temporalEps = eps, time } = options;
  const spatial = resnetBlock(w.at("spatial_res_block"), x, outputs, eps, time);

  const t = w.at("temporal_res_block");
  const norm = { eps: temporalEps, over: "clip", activation: "silu" } as const;
  let h = temporalConv(t.at("conv1"), groupNorm(t.at("norm1"), spatial, norm), outputs);
  if (time) h = x.lowering.add(h, timeProjection(t, time, outputs));
  const share = options.temporalShare(w.at("time_mixer"), x);
  h = temporalConv(t.at("conv2"), groupNorm(t.at("norm2"), h, norm), outputs, share);
  return x.lowering.add(spatial, h);
}

function timeProjection(w: Weights, time: Value, outputs: number): Value {
  return linear(w.at("time_emb_proj"), time.lowering.activation(time, "silu"), outputs);
}
