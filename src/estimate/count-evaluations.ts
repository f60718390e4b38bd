/** How often does a run evaluate the UNet? Counted by denoising a clip of one pixel, with networks that only count. */
import type { DeviceTensor, RunResults } from "../engine/engine.ts";
import type { Settings } from "../options/resolve-settings.ts";
import { denoise } from "../pipeline/denoise.ts";
import { evaluateUnet } from "../pipeline/evaluate-unet.ts";
import type { StageSession } from "../pipeline/not-finite.ts";
import type { Sampling } from "../pipeline/sampling.ts";
import { floatTensor } from "../tensor.ts";

/**
 * Runs of each network that `unetsOf` gives for the settings, in its order: the whole one, and with DeepCache the shallow
 * one.
 */
export async function countEvaluations(
  sampling: Sampling,
  { numFrames, cacheInterval }: Pick<Settings, "numFrames" | "cacheInterval">,
  clips: number,
): Promise<number[]> {
  const counts = cacheInterval === 1 ? [0] : [0, 0];
  const pixel = floatTensor([1, 1, 1, 1]);
  const image = { rows: pixel, latents: pixel };
  const { dtype, shape: one } = pixel;
  const feature: DeviceTensor = { dtype, shape: one, read: async () => pixel, release: async () => {} };
  const counter = (index: number): StageSession => ({
    async run<Kept extends string>() {
      counts[index]!++;
      const results: unknown = { sample: floatTensor([numFrames, 1, 1, 1]), deep_feature: feature };
      return results as RunResults<Kept>;
    },
  });
  const shape = [clips, numFrames, 1, 1, 1];
  const steps = denoise({
    ...sampling,
    evaluate: evaluateUnet(
      counts.map((_, index) => counter(index)),
      cacheInterval,
      { partOf: String },
    ),
    drawNoise: () => floatTensor(shape),
    latents: floatTensor(shape),
    conditionings: Array.from({ length: clips }, () => ({ conditional: image, unconditional: image })),
    addedTimeIds: pixel,
  });
  while (!(await steps.next()).done);
  return counts;
}
