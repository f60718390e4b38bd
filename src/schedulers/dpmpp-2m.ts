/**
 * DPM-Solver++(2M): one evaluation a step, second order through the denoised sample of the step before.
 *
 * Lu et al. 2022 (arXiv 2211.01095), algorithm 2, with alpha = 1, as k-diffusion 0.1.1 `sample_dpmpp_2m`: the first step and
 * a step to level 0 are of first order. (diffusers' DPMSolverMultistepScheduler turns to first order earlier, by the number
 * of steps, and works on samples scaled to variance 1.) A step is computed in float64 and rounded once.
 */
import type { SamplerRun } from "./sampler.ts";

export async function* sampleDpmpp2m({
  sample,
  sigmas,
  denoise,
}: SamplerRun): AsyncGenerator<Float32Array, Float32Array, Float32Array | undefined> {
  let x = sample;
  let before: Float32Array | undefined;
  for (let i = 0; i + 1 < sigmas.length; i++) {
    const [sigma, nextSigma] = [sigmas[i]!, sigmas[i + 1]!];
    const denoised = await denoise(x, sigma);
    const weight = before && nextSigma > 0 ? extrapolation(sigmas[i - 1]!, sigma, nextSigma) : 0;
    // sigma / nextSigma is e^h: h is the step in lambda = -log(sigma).
    const kept = nextSigma / sigma;
    const next = x.map((value, j) => {
      const clean = denoised[j]!;
      const ahead = clean + weight * (clean - (before?.[j] ?? clean));
      return kept * value + (1 - kept) * ahead;
    });
    before = denoised;
    x = (yield next) ?? next;
  }
  return x;
}

/** 1 / (2 r), with r the last step over this one, in lambda. */
function extrapolation(sigmaBefore: number, sigma: number, nextSigma: number): number {
  return Math.log(sigma / nextSigma) / (2 * Math.log(sigmaBefore / sigma));
}
