/** How are the two normalisations written? */
import type { Activation, Value } from "../lowering/lowering.ts";
import type { Weights } from "../weights/view.ts";

/** The group count that diffusers gives every group norm of these networks. */
const groups = 32;

/**
 * Group norm with learned scale and offset.
 * `over` says which pixels share their statistics: those of one frame, or those of all frames.
 */
export function groupNorm(
  w: Weights,
  x: Value,
  options: { eps: number; over?: "frame" | "clip"; activation?: Activation },
): Value {
  const channels = x.shape.at(-1)!;
  const weight = w.tensor("weight", [channels]);
  return x.lowering.groupNorm(x, weight, w.tensor("bias", [channels]), { groups, over: "frame", ...options });
}

/** Layer norm over the channels. */
export function layerNorm(w: Weights, x: Value, eps = 1e-5): Value {
  const channels = x.shape.at(-1)!;
  return x.lowering.layerNorm(x, w.tensor("weight", [channels]), w.tensor("bias", [channels]), eps);
}
