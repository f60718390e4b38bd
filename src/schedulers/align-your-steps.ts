/** Which noise levels suit few steps? Those that Align Your Steps found for Stable Video Diffusion. */

/** Sabour et al. 2024 (arXiv 2404.14507), appendix: Stable Video Diffusion, ten steps. */
const published = [700, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002];

/**
 * Levels for `steps` steps, and 0 at the end. For 10 steps they are the published ones; for any other number they lie between
 * those, on straight lines in log(sigma), as research.nvidia.com/labs/toronto-ai/AlignYourSteps/howto.html interpolates.
 *
 * @param steps 1 or more
 */
export function alignYourStepsSigmas(steps: number): number[] {
  const levels = Array.from({ length: steps }, (_, i) => {
    const position = (i * (published.length - 1)) / steps;
    const index = Math.floor(position);
    const [above, below] = [published[index]!, published[index + 1]!];
    return above * (below / above) ** (position - index);
  });
  return [...levels, 0];
}
