/** How is attention written: among tokens, and to the single token of the image embedding? */
import type { Value } from "../lowering/lowering.ts";
import type { Weights } from "../weights/view.ts";
import { type Bias, linear } from "./linear.ts";

/**
 * Multi-head self-attention among the tokens of each item, with the output projection.
 *
 * @param bias whether the projections of queries, keys and values have one: those of the VAE do, those of the UNet do not
 */
export function selfAttention(w: Weights, x: Value, heads: number, bias: Bias): Value {
  const [q, k, v] = queriesKeysValues(w, x, bias);
  return attentionOutput(w, x.lowering.attention(q, k, v, heads));
}

/** Queries, keys and values, each with as many channels as x. */
export function queriesKeysValues(w: Weights, x: Value, bias: Bias): [q: Value, k: Value, v: Value] {
  const project = (name: string) => linear(w.at(name), x, x.shape.at(-1)!, bias);
  return [project("to_q"), project("to_k"), project("to_v")];
}

/** The output projection. */
export function attentionOutput(w: Weights, attended: Value): Value {
  return linear(w.at("to_out.0"), attended, attended.shape.at(-1)!);
}

/**
 * Cross-attention to one token. A softmax over a single key is 1, so the result is `to_out(to_v(context))`:
 * one row, which every query receives. The queries, the keys and the norm before them have no effect.
 *
 * @param context (1, context channels)
 * @returns (1, channels)
 */
export function crossAttentionToOneToken(w: Weights, context: Value, channels: number): Value {
  w.tensor("to_q.weight", [channels, channels]);
  w.tensor("to_k.weight", [channels, context.shape[1]!]);
  return linear(w.at("to_out.0"), linear(w.at("to_v"), context, channels, "without bias"), channels);
}
