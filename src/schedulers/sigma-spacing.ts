/** How are noise levels and timesteps spread over a run? One function per spacing, in float64 as numpy computes it. */
import type { EulerDiscreteConfig } from "./euler-discrete-config.ts";

const { fround } = Math;

/** Training timesteps in falling order, by table 2 of Lin et al. 2023 (arXiv 2305.08891). */
export function spacedTimesteps(config: EulerDiscreteConfig, steps: number): number[] {
  const { timestepSpacing, numTrainTimesteps: count, stepsOffset } = config;
  switch (timestepSpacing) {
    case "linspace":
      return ramp(0, count - 1, steps)
        .map(fround)
        .reverse();
    case "leading": {
      const stride = Math.floor(count / steps);
      return Array.from({ length: steps }, (_, i) => (steps - 1 - i) * stride + stepsOffset);
    }
    case "trailing": {
      const stride = count / steps;
      const second = count - stride;
      return Array.from(
        { length: Math.ceil(count / stride) },
        (_, i) => roundHalfEven(count + i * (second - count)) - 1,
      );
    }
  }
}

/** Karras et al. 2022, eq. 5 (`_convert_to_karras` of the reference). */
export function karrasSigmas(sigmaMin: number, sigmaMax: number, steps: number, rho: number): number[] {
  return ramp(0, 1, steps).map((part) => karrasSigma(sigmaMin, sigmaMax, part, rho));
}

/** A point of that curve: `part` is 0 at the highest level and 1 at the lowest. */
export function karrasSigma(sigmaMin: number, sigmaMax: number, part: number, rho: number): number {
  const least = sigmaMin ** (1 / rho);
  const most = sigmaMax ** (1 / rho);
  return (most + part * (least - most)) ** rho;
}

/** Evenly spaced logarithms (`_convert_to_exponential` of the reference). */
export function exponentialSigmas(sigmaMin: number, sigmaMax: number, steps: number): number[] {
  return ramp(Math.log(sigmaMax), Math.log(sigmaMin), steps).map(Math.exp);
}

/** The training timestep of a noise level, which may lie between two (`_sigma_to_t` of the reference). */
export function timestepOf(logSigma: number, logSigmas: Float32Array, round: (value: number) => number): number {
  const after = logSigmas.findLastIndex((each) => logSigma >= each);
  const lower = Math.min(Math.max(after, 0), logSigmas.length - 2);
  const [low, high] = [logSigmas[lower]!, logSigmas[lower + 1]!];
  const weight = Math.min(Math.max(round(round(low - logSigma) / fround(low - high)), 0), 1);
  return round(1 - weight) * lower + weight * (lower + 1);
}

/** The value at a position between entries of a table, as `np.interp` gives it: beyond the ends it is the outer entry. */
export function interpolate(table: Float32Array, position: number): number {
  const index = Math.floor(position);
  if (index >= table.length - 1) return table.at(-1)!;
  const [low, high] = [table[index]!, table[index + 1]!];
  return (high - low) * (position - index) + low;
}

/** Evenly spaced float64 values, as `np.linspace` has them; `start` alone for one step. */
function ramp(start: number, end: number, count: number): number[] {
  const step = (end - start) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === 0 ? start : i === count - 1 ? end : i * step + start));
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
