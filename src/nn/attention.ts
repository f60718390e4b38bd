/** How is attention written: among tokens, and to the single token of the image embedding? */
import type { Value } from "../lowering/lowering.ts";
import type { Weights } from "../weights/view.ts";
import { type Bias, linear } from "./linear.ts";

/**
 * Multi-head self-attention with the output projection; q, k and v have as many channels as x.
 *
 * @param bias that of their projections: the VAE has one, the UNet none
 * @param among the tokens of each item of x, or its items at each token
 */
export function selfAttention(
  w: Weights,
  x: Value,
  heads: number,
  bias: Bias,
  among: "tokens" | "items" = "tokens",
): Value {
  const channels = x.shape.at(-1)!;
  const [q, k, v] = ["to_q", "to_k", "to_v"].map((name) => linear(w.at(name), x, channels, bias)) as [
    Value,
    Value,
    Value,
  ];
  const { attention, attentionAcrossItems } = x.lowering;
  const attended = (among === "tokens" ? attention : attentionAcrossItems)(q, k, v, heads);
  return linear(w.at("to_out.0"), attended, channels);
}

/**
 * Cross-attention to one token. A softmax over a single key is 1, so the result is `to_out(to_v(context))`:
 * one row that every query receives. The queries, the keys and the norm before them have no effect.
 *
 * @param context (1, context channels)
 * @returns (1, channels)
 */
export function crossAttentionToOneToken(w: Weights, context: Value, channels: number): Value {
  w.tensor("to_q.weight", [channels, channels]);
  w.tensor("to_k.weight", [channels, context.shape[1]!]);
  return linear(w.at("to_out.0"), linear(w.at("to_v"), context, channels, "without bias"), channels);
}
