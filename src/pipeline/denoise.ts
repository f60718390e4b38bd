/** How does noise become the latents of a clip? The sampling loop, as a generator that hands over each step. */
import type { PredictionType, Schedule } from "../schedulers/euler-discrete.ts";
import { denoisedSample, scaleModelInput } from "../schedulers/preconditioning.ts";
import type { Churn, Sampler } from "../schedulers/sampler.ts";
import { type FloatTensor, floatTensor } from "../tensor.ts";
import type { DenoiseStep } from "./denoise-step.ts";
import type { EvaluateUnet, UnetInputs } from "./evaluate-unet.ts";
import { type GuidanceInterval, guide, type Halves, isWithin } from "./guidance.ts";

/** What one picture gives to its clips, or no picture to the unconditional half of guidance. */
export interface ImageConditioning {
  /** What the conditioning network makes of the embedding: as many numbers as there are. */
  readonly rows: FloatTensor;
  /** (1, 4, latent height, latent width), not scaled. */
  readonly latents: FloatTensor;
}

export interface DenoiseJob {
  readonly evaluate: EvaluateUnet;
  readonly sample: Sampler;
  readonly schedule: Schedule;
  /** For samplers that take it. */
  readonly churn?: Churn | undefined;
  /** Fresh noise in the shape of the latents, for samplers that add some on the way. */
  readonly drawNoise: () => FloatTensor;
  readonly predictionType: PredictionType;
  /** (clips, frames, 4, height, width), scaled to the first noise level. */
  readonly latents: FloatTensor;
  /** One a clip; without the unconditional half there is no guidance. */
  readonly conditionings: readonly Halves<ImageConditioning>[];
  /** (3, 1). */
  readonly addedTimeIds: FloatTensor;
  /** One scale a frame; absent for no guidance. */
  readonly guidanceScales?: Float32Array | undefined;
  /** Outside it no noise level is guided. Absent for all levels. */
  readonly guidanceInterval?: GuidanceInterval | undefined;
}

/**
 * Yields after every step; what the caller passes to `next` replaces the latents. Returns the last latents.
 *
 * The clips of a run advance together, one network evaluation at a time, and the two halves of guidance one after the
 * other, so that memory is that of a single clip.
 */
export async function* denoise(job: DenoiseJob): AsyncGenerator<DenoiseStep, FloatTensor, FloatTensor | undefined> {
  const { schedule, latents, churn } = job;
  const { sigmas, timesteps } = schedule;
  const { shape } = latents;
  const states = job.sample({
    sample: latents.data,
    sigmas,
    denoise: async (sample, sigma) => (await denoiseClips(job, floatTensor(shape, sample), sigma)).data,
    drawNoise: () => job.drawNoise().data,
    churn,
  });
  let state = await states.next();
  for (let index = 0; !state.done; index++) {
    const replaced = yield {
      step: index + 1,
      steps: timesteps.length,
      sigma: sigmas[index]!,
      timestep: timesteps[index]!,
      latents: floatTensor(shape, state.value),
    };
    state = await states.next(replaced?.data);
  }
  return floatTensor(shape, state.value);
}

/** What the network takes the clips for at a noise level, one clip after the other. */
async function denoiseClips(job: DenoiseJob, sample: FloatTensor, sigma: number): Promise<FloatTensor> {
  const timestep = job.schedule.timestepAt(sigma);
  const denoised = floatTensor(sample.shape);
  for (const [index, conditioning] of job.conditionings.entries()) {
    const clip = clipOf(sample, index);
    const output = await predict(job, index, clip, sigma, timestep, conditioning);
    denoisedSample(clip.data, output, sigma, job.predictionType, clipOf(denoised, index).data);
  }
  return denoised;
}

/** The network's output for one clip, guided where the job says so. */
async function predict(
  job: DenoiseJob,
  clip: number,
  sample: FloatTensor,
  sigma: number,
  timestep: number,
  { conditional: withImage, unconditional: withoutImage }: Halves<ImageConditioning>,
): Promise<Float32Array> {
  const inputs = {
    latents: floatTensor(sample.shape, scaleModelInput(sample.data, sigma)),
    timestep: floatTensor([1, 1], Float32Array.of(timestep)),
    added_time_ids: job.addedTimeIds,
  };
  const inputsOf = ({ rows, latents }: ImageConditioning): UnetInputs => ({
    ...inputs,
    conditioning: rows,
    image_latents: latents,
  });
  const { guidanceScales, guidanceInterval } = job;
  if (!withoutImage || !guidanceScales || !isWithin(guidanceInterval, sigma)) {
    return (await job.evaluate(clip, { conditional: inputsOf(withImage) })).conditional;
  }
  const halves = { unconditional: inputsOf(withoutImage), conditional: inputsOf(withImage) };
  const { unconditional, conditional } = await job.evaluate(clip, halves);
  guide(conditional, unconditional!, guidanceScales);
  return conditional;
}

/** A view of one clip's latents: (frames, 4, height, width). */
function clipOf(latents: FloatTensor, clip: number): FloatTensor {
  const size = latents.data.length / latents.shape[0]!;
  return floatTensor(latents.shape.slice(1), latents.data.subarray(clip * size, (clip + 1) * size));
}
