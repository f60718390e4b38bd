/**
 * How does AnimateLCM-SVD go from noise to a clip in a few steps? It was distilled to see the clean clip at each of 40 noise
 * levels: each step takes what it sees and adds fresh noise of the next level.
 *
 * Multistep consistency sampling, Song et al. 2023 (arXiv 2303.01469), algorithm 1; Wang et al. 2024 (arXiv 2402.00769). By
 * the formulas of github.com/G-U-N/AnimateLCM animatelcm_svd/animatelcm_scheduler.py, in its float32 order.
 */
import type { SamplerRun } from "./sampler.ts";
import { karrasSigma } from "./sigma-spacing.ts";

const { fround } = Math;

/** The number of noise levels at which the network was distilled. They are spread over the Karras curve. */
const trainedLevels = 40;

/**
 * Levels of a run: every (40 / steps)-th of those at which the network was distilled, rounded down, then 0. For the published 0.002 to 700,
 * four steps are at 700, 128.56, 13.68 and 0.497.
 *
 * @param steps 1 to 40; 1 to 8 is what it was made for
 */
export function animateLcmSigmas(sigmaMin: number, sigmaMax: number, steps: number, rho: number): number[] {
  const stride = Math.floor(trainedLevels / steps);
  const levels = Array.from({ length: steps }, (_, i) =>
    karrasSigma(sigmaMin, sigmaMax, (i * stride) / (trainedLevels - 1), rho),
  );
  return [...levels, 0];
}

/** x' = D + nextSigma * noise. A step to level 0 draws no noise: D is the result. */
export async function* sampleAnimateLcm({
  sample,
  sigmas,
  denoise,
  drawNoise,
}: SamplerRun): AsyncGenerator<Float32Array, Float32Array, Float32Array | undefined> {
  let x = sample;
  for (let i = 0; i + 1 < sigmas.length; i++) {
    const denoised = await denoise(x, sigmas[i]!);
    const nextSigma = sigmas[i + 1]!;
    const noise = nextSigma > 0 ? drawNoise() : undefined;
    const next = denoised.map((clean, j) => (noise ? clean + fround(nextSigma * noise[j]!) : clean));
    x = (yield next) ?? next;
  }
  return x;
}
