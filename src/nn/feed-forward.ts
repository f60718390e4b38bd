/** How is a transformer's feed-forward written? With GEGLU (Shazeer 2020, "GLU Variants Improve Transformer", eq. 6). */
import type { Value } from "../lowering/lowering.ts";
import type { Weights } from "../weights/view.ts";
import { linear, linearParts } from "./linear.ts";

/** (x W + b) * gelu(x V + c), projected back to the channels of x. The hidden layer is four times as wide. */
export function feedForward(w: Weights, x: Value): Value {
  const channels = x.shape.at(-1)!;
  const [hidden, gate] = linearParts(w.at("net.0.proj"), x, 4 * channels, 2) as [Value, Value];
  const gated = x.lowering.multiply(hidden, x.lowering.activation(gate, "gelu"));
  return linear(w.at("net.2"), gated, channels);
}
