/** How is a transformer's feed-forward written? With GEGLU (Shazeer 2020, "GLU Variants Improve Transformer", eq. 6). */
import { divisorFrom } from "../lowering/even-parts.ts";
import type { Value } from "../lowering/lowering.ts";
import { elementCount } from "../tensor.ts";
import type { Weights } from "../weights/view.ts";
import { linear, linearParts } from "./linear.ts";

/**
 * (x W + b) * gelu(x V + c), projected back to the channels of x. The hidden layer is four times as wide.
 *
 * It acts on each token alone, so the tokens may go through it in pieces, one after the other. Then only one piece of the hidden
 * layer and of its gate is in memory.
 *
 * @param pieces how many at least; the next number that divides the tokens is taken, so that they are equal
 */
export function feedForward(w: Weights, x: Value, pieces = 1): Value {
  const channels = x.shape.at(-1)!;
  const tokens = elementCount(x.shape) / channels;
  const count = divisorFrom(Math.min(pieces, tokens), tokens);
  if (count === 1) return geglu(w, x);
  const { concat, reshape, select } = x.lowering;
  const parts = reshape(x, [count, tokens / count, channels]);
  const results = Array.from({ length: count }, (_, part) => geglu(w, select(parts, 0, part))); // (1, tokens / count, channels)
  return reshape(concat(results, 0), x.shape);
}

function geglu(w: Weights, x: Value): Value {
  const channels = x.shape.at(-1)!;
  const [hidden, gate] = linearParts(w.at("net.0.proj"), x, 4 * channels, 2) as [Value, Value];
  const gated = x.lowering.multiply(hidden, x.lowering.activation(gate, "gelu"));
  return linear(w.at("net.2"), gated, channels);
}
