/** How strongly does each frame follow the picture? Classifier-free guidance with a scale that rises over the frames. */
import { inCall, message, option, StillmotionError } from "../errors.ts";
import type { Settings } from "../options/resolve-settings.ts";
import { linspace } from "../schedulers/training-sigmas.ts";

/** What guidance tells apart: with the picture, and where it acts also without. */
export interface Halves<T> {
  readonly conditional: T;
  readonly unconditional?: T | undefined;
}

/** The noise levels at which guidance acts: above the first, up to and with the second. */
export type GuidanceInterval = readonly [lowSigma: number, highSigma: number];

/** Kynkaanniemi et al. 2024 (arXiv 2404.07724), eq. 6: elsewhere the conditional half stands alone. No interval is all levels. */
export function isWithin(interval: GuidanceInterval | undefined, sigma: number): boolean {
  return interval === undefined || (sigma > interval[0] && sigma <= interval[1]);
}

/** @param sigmas of the run, falling; n + 1 values for n steps, the last of which is not evaluated */
export function assertGuidesSome(interval: GuidanceInterval | undefined, sigmas: Float32Array): void {
  const levels = sigmas.subarray(0, -1);
  if (levels.some((sigma) => isWithin(interval, sigma))) return;
  const got = message`${inCall("generate")}${option("guidanceInterval")} is [${interval!.join(", ")}]`;
  const range = `they fall from ${shown(levels[0]!)} to ${shown(levels.at(-1)!)}`;
  const problem = `no noise level of this run lies above the first and up to the second; ${range}`;
  throw new StillmotionError("invalid-option", message`${got}, but ${problem}`);
}

function shown(sigma: number): number {
  return Number(sigma.toPrecision(4));
}

/** The scale of each frame, from `min` at the first to `max` at the last; a single frame has `min`. */
export function guidanceScales(min: number, max: number, frames: number): Float32Array {
  return frames === 1 ? Float32Array.of(min) : linspace(min, max, frames);
}

/** True when the unconditional half has an effect. */
export function isGuided(scales: Float32Array): boolean {
  return scales.some((scale) => scale > 1);
}

/** The scales of a run; undefined where the unconditional half has no effect. */
export function scalesOf(
  settings: Pick<Settings, "minGuidanceScale" | "maxGuidanceScale" | "numFrames">,
): Float32Array | undefined {
  const scales = guidanceScales(settings.minGuidanceScale, settings.maxGuidanceScale, settings.numFrames);
  return isGuided(scales) ? scales : undefined;
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
