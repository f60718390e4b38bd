/** How is noise put back during a run? Churn: a step first raises its noise level, then goes down from there. */
import type { SamplerRun } from "./sampler.ts";

/** Nothing is put back, at any noise level. */
export const churnDefaults = { sChurn: 0, sTmin: 0, sTmax: Number.POSITIVE_INFINITY, sNoise: 1 } as const;

/**
 * Karras et al. 2022 (arXiv 2206.00364), algorithm 2, lines 4 to 6, as k-diffusion 0.1.1 `sample_euler` has it: the network
 * then sees the sample with the added noise, at the raised level. (diffusers' EulerDiscreteScheduler adds the noise after the
 * network has been asked.) Noise is drawn only where some is added. Computed in float64.
 *
 * @param run of `sigmas.length - 1` steps
 * @returns the sample and its noise level, both as given where nothing is added
 */
export function addChurn(
  run: SamplerRun,
  sample: Float32Array,
  sigma: number,
): { readonly sample: Float32Array; readonly sigma: number } {
  const {
    sChurn = churnDefaults.sChurn,
    sTmin = churnDefaults.sTmin,
    sTmax = churnDefaults.sTmax,
    sNoise = churnDefaults.sNoise,
  } = run.churn ?? {};
  const isChurned = sTmin <= sigma && sigma <= sTmax;
  const gamma = isChurned ? Math.min(sChurn / (run.sigmas.length - 1), Math.SQRT2 - 1) : 0;
  if (gamma <= 0) return { sample, sigma };
  const raised = sigma * (1 + gamma);
  const added = sNoise * Math.sqrt(raised ** 2 - sigma ** 2);
  const noise = run.drawNoise();
  return { sample: sample.map((x, i) => x + added * noise[i]!), sigma: raised };
}
