/**
 * Euler's method, the sampler that Stable Video Diffusion was published with: one evaluation a step.
 *
 * Karras et al. 2022 (arXiv 2206.00364), algorithm 2 without its second-order correction: algorithm 1 where nothing is
 * churned. In the float32 order of diffusers 0.42.1 schedulers/scheduling_euler_discrete.py `step`.
 */
import { StillmotionError } from "../errors.ts";
import { addChurn } from "./churn.ts";
import type { SamplerRun } from "./sampler.ts";

const { fround } = Math;

export async function* sampleEuler(
  run: SamplerRun,
): AsyncGenerator<Float32Array, Float32Array, Float32Array | undefined> {
  let x = run.sample;
  for (let i = 0; i + 1 < run.sigmas.length; i++) {
    const { sample, sigma } = addChurn(run, x, run.sigmas[i]!);
    const next = eulerStep(sample, await run.denoise(sample, sigma), sigma, run.sigmas[i + 1]!);
    x = (yield next) ?? next;
  }
  return x;
}

/**
 * One step from noise level `sigma` to `nextSigma`: with D the denoised sample, d = (x - D) / sigma and
 * x' = x + (nextSigma - sigma) d, algorithm 2, lines 7 and 8.
 *
 * @param sample x
 * @param denoised D, as long as `sample`
 * @param output may be `sample` itself
 */
export function eulerStep(
  sample: Float32Array,
  denoised: Float32Array,
  sigma: number,
  nextSigma: number,
  output: Float32Array = new Float32Array(sample.length),
): Float32Array {
  if (denoised.length !== sample.length || output.length !== sample.length) {
    const lengths = `${denoised.length} denoised values and ${output.length} results`;
    throw new StillmotionError("internal", `eulerStep: ${lengths} for ${sample.length} sample values`);
  }
  const level = fround(sigma);
  const change = fround(fround(nextSigma) - level);
  for (let i = 0; i < sample.length; i++) {
    const x = sample[i]!;
    const derivative = fround(fround(x - denoised[i]!) / level);
    output[i] = x + fround(derivative * change);
  }
  return output;
}
