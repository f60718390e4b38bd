/** What is a sampler? A loop over falling noise levels that asks for denoised samples and hands over each step. */

/**
 * What the network takes a noisy sample for: D(x; sigma) of Karras et al. 2022 (arXiv 2206.00364). As long as `sample`;
 * the caller may keep it.
 */
export type Denoise = (sample: Float32Array, sigma: number) => Promise<Float32Array>;

/** What a sampler starts from and does not change. */
export interface SamplerRun {
  /** The noisy sample, at the first noise level. */
  readonly sample: Float32Array;
  /** Noise levels, falling: n + 1 values make n steps. The last may be 0. */
  readonly sigmas: Float32Array;
  readonly denoise: Denoise;
  /** Standard normal noise as long as `sample`, fresh each time. */
  readonly drawNoise: () => Float32Array;
  /** For the samplers that take it; see `addChurn`. */
  readonly churn?: Churn | undefined;
}

/** S_churn, S_tmin, S_tmax and S_noise of Karras et al. 2022, algorithm 2; `churnDefaults` hold for what is left out. */
export interface Churn {
  /** Noise added in all steps together; a step adds at most 0.41 of its level. */
  readonly sChurn?: number | undefined;
  /** The lowest noise level to which noise is added. */
  readonly sTmin?: number | undefined;
  /** The highest noise level to which noise is added. */
  readonly sTmax?: number | undefined;
  /** Standard deviation of the noise added. */
  readonly sNoise?: number | undefined;
}

/**
 * Yields the sample after each step, in memory of its own; what the caller passes to `next` replaces it. Returns the last
 * sample. Calls of `denoise` and `drawNoise` never overlap.
 */
export type Sampler = (run: SamplerRun) => AsyncGenerator<Float32Array, Float32Array, Float32Array | undefined>;
