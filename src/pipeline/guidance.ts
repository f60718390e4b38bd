/** How strongly does each frame follow the picture? Classifier-free guidance with a scale that rises over the frames. */
import { linspace } from "../schedulers/training-sigmas.ts";

/** The scale of each frame, from `min` at the first to `max` at the last; a single frame has `min`. */
export function guidanceScales(min: number, max: number, frames: number): Float32Array {
  return frames === 1 ? Float32Array.of(min) : linspace(min, max, frames);
}

/** True when the unconditional half has an effect. */
export function isGuided(scales: Float32Array): boolean {
  return scales.some((scale) => scale > 1);
}

/**
 * unconditional + scale * (conditional - unconditional), frame by frame (Ho and Salimans 2022, eq. 6, as the reference
 * writes it). The result is in `conditional`.
 *
 * @param scales one a frame; the values of a frame lie together
 */
export function guide(conditional: Float32Array, unconditional: Float32Array, scales: Float32Array): void {
  const frameSize = conditional.length / scales.length;
  for (const [frame, scale] of scales.entries()) {
    for (let i = frame * frameSize; i < (frame + 1) * frameSize; i++) {
      const base = unconditional[i]!;
      conditional[i] = base + Math.fround(scale * Math.fround(conditional[i]! - base));
    }
  }
}
