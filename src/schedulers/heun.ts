/**
 * Heun's method: a second evaluation at the end of each step corrects its direction, so that the error falls with the square
 * of the step.
 *
 * Karras et al. 2022 (arXiv 2206.00364), algorithm 2, as k-diffusion 0.1.1 `sample_heun`: a step is one step of the schedule,
 * and a last step to level 0 is Euler's. (diffusers' HeunDiscreteScheduler counts each evaluation as a step and has no
 * churn.) A step is computed in float64 and rounded once.
 */
import { addChurn } from "./churn.ts";
import type { SamplerRun } from "./sampler.ts";

export async function* sampleHeun(
  run: SamplerRun,
): AsyncGenerator<Float32Array, Float32Array, Float32Array | undefined> {
  let x = run.sample;
  for (let i = 0; i + 1 < run.sigmas.length; i++) {
    const { sample, sigma } = addChurn(run, x, run.sigmas[i]!);
    const nextSigma = run.sigmas[i + 1]!;
    const denoised = await run.denoise(sample, sigma);
    // Euler's step to level 0 is the denoised sample.
    const next = nextSigma === 0 ? denoised : await heunStep(run, sample, denoised, sigma, nextSigma);
    x = (yield next) ?? next;
  }
  return x;
}

/** Algorithm 2, lines 7 to 11: the mean of the directions at both ends of the step. */
async function heunStep(
  { denoise }: SamplerRun,
  sample: Float32Array,
  denoised: Float32Array,
  sigma: number,
  nextSigma: number,
): Promise<Float32Array> {
  const change = nextSigma - sigma;
  const direction = (x: number, clean: number, level: number) => (x - clean) / level;
  const predicted = sample.map((x, i) => x + direction(x, denoised[i]!, sigma) * change);
  const denoisedThere = await denoise(predicted, nextSigma);
  return sample.map((x, i) => {
    const first = direction(x, denoised[i]!, sigma);
    const second = direction(predicted[i]!, denoisedThere[i]!, nextSigma);
    return x + ((first + second) / 2) * change;
  });
}
