/** How does a number (a timestep, a frame's position, an fps) become a vector? */
import { StillmotionError } from "../errors.ts";
import type { Value } from "../lowering/lowering.ts";
import type { Weights } from "../weights/view.ts";
import { linear } from "./linear.ts";

/**
 * Sinusoidal embedding, cosines first.
 * diffusers 0.42.1 models/embeddings.py `get_timestep_embedding` with `flip_sin_to_cos`, no frequency shift; the
 * frequencies are worked out in float32, step by step, as there.
 *
 * @param x (rows, 1)
 * @returns (rows, channels)
 */
export function sinusoidalEmbedding(x: Value, channels: number): Value {
  if (channels % 2 !== 0) {
    throw new StillmotionError("unsupported", `embeddings of ${channels} channels; an even number is expected`);
  }
  const half = channels / 2;
  const frequencies = Float32Array.from({ length: half }, (_, index) =>
    Math.exp(Math.fround(Math.fround(Math.fround(-Math.log(10000)) * index) / half)),
  );
  return x.lowering.sinusoids(x, frequencies);
}

/** Two linear layers with SiLU between them: (rows, any) -> (rows, outputs). */
export function embeddingProjection(w: Weights, x: Value, hidden: number, outputs: number): Value {
  const projected = x.lowering.activation(linear(w.at("linear_1"), x, hidden), "silu");
  return linear(w.at("linear_2"), projected, outputs);
}
