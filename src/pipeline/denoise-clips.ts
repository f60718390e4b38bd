/** How is a run denoised? The sampler's steps on the loaded UNet; after each the caller hears of it and may replace the latents. */
import { inCall, message, option, StillmotionError } from "../errors.ts";
import type { Settings } from "../options/resolve-settings.ts";
import { copyTensor, type FloatTensor, floatTensor, isFloatTensor, sameShape } from "../tensor.ts";
import { addedTimeIds } from "./conditioning.ts";
import { denoise, type ImageConditioning } from "./denoise.ts";
import type { DenoiseStep, OnStep } from "./denoise-step.ts";
import { evaluateUnet } from "./evaluate-unet.ts";
import type { Halves } from "./guidance.ts";
import { assertGivenFinite, assertLatentsFinite } from "./not-finite.ts";
import { type StageContext, withStage } from "./run-stage.ts";
import type { Sampling } from "./sampling.ts";
import type { StageDescription } from "./stages.ts";

interface ClipsToDenoise {
  readonly settings: Settings;
  readonly sampling: Sampling;
  /** One a clip. */
  readonly conditionings: readonly Halves<ImageConditioning>[];
  /** (clips, frames, 4, latent height, latent width), of deviation 1. */
  readonly noise: FloatTensor;
  /** More of it, in the same shape. */
  readonly drawNoise: () => FloatTensor;
  readonly onStep: OnStep | undefined;
}

/** @returns latents in the shape of the noise */
export function denoiseClips(
  context: StageContext,
  description: StageDescription,
  { settings, sampling, conditionings, noise, drawNoise, onStep }: ClipsToDenoise,
): Promise<FloatTensor> {
  const { stage, parts: total } = description;
  const { shape, data } = noise;
  const isOneClip = conditionings.length === 1;
  return withStage(context, description, async (sessions) => {
    let done = 0;
    const tell = () => context.onProgress({ stage, state: "running", done, total });
    const partOf = (clip: number) => `step ${done + 1} of ${total}${isOneClip ? "" : `, clip ${clip + 1}`}`;
    const { initNoiseSigma } = sampling.schedule;
    const steps = denoise({
      ...sampling,
      evaluate: evaluateUnet(sessions, settings.cacheInterval, { signal: context.signal, partOf }),
      drawNoise,
      latents: floatTensor(
        shape,
        data.map((value) => value * initNoiseSigma),
      ),
      conditionings,
      addedTimeIds: addedTimeIds(settings),
    });
    tell();
    let turn = await steps.next();
    while (!turn.done) {
      const { step, latents } = turn.value;
      assertLatentsFinite(`step ${step} of ${total}`, latents, context.suspects);
      done = step;
      tell();
      const replaced = onStep && (await replacementOf(turn.value, onStep));
      if (replaced && context.suspects) context.suspects.hasGivenLatents = true;
      turn = await steps.next(replaced);
    }
    return turn.value;
  });
}

/** What the caller gives in place of the latents, in memory of its own; undefined for nothing. */
async function replacementOf(step: DenoiseStep, onStep: OnStep): Promise<FloatTensor | undefined> {
  const { shape } = step.latents;
  const replaced = (await onStep({ ...step, latents: copyTensor(step.latents) })) ?? undefined;
  if (replaced === undefined) return undefined;
  if (!isFloatTensor(replaced) || !sameShape(replaced.shape, shape)) {
    const got = isFloatTensor(replaced) ? `latents of shape [${replaced.shape}]` : typeof replaced;
    const expected = `expected nothing or a float32 tensor of shape [${String(shape)}]`;
    const problem = message`${inCall("generate")}${option("onStep")} returned ${got}, ${expected}`;
    throw new StillmotionError("invalid-option", problem);
  }
  const after = `returned latents after step ${step.step} of ${step.steps}`;
  assertGivenFinite(message`${inCall("generate")}${option("onStep")} ${after}`, replaced);
  return copyTensor(replaced);
}
