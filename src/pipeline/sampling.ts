/** What does denoising go by? Sampler, noise levels and guidance, as the settings and the checkpoint have them. */

import type { Settings } from "../options/resolve-settings.ts";
import { eulerDiscreteConfig, schedule } from "../schedulers/euler-discrete.ts";
import { samplers } from "../schedulers/samplers.ts";
import type { JsonObject } from "../weights/types.ts";
import type { DenoiseJob } from "./denoise.ts";
import { assertGuidesSome, scalesOf } from "./guidance.ts";

export type Sampling = Pick<
  DenoiseJob,
  "sample" | "schedule" | "churn" | "predictionType" | "guidanceScales" | "guidanceInterval"
>;

/** @throws StillmotionError `invalid-option` when steps, sigmas or the guidance interval cannot be used */
export function samplingOf(settings: Settings, schedulerConfig: JsonObject): Sampling {
  const config = eulerDiscreteConfig(schedulerConfig);
  const { guidanceInterval } = settings;
  const sampler = samplers[settings.scheduler];
  const sigmas = settings.sigmas ?? sampler.sigmas;
  const levels = schedule(config, { steps: settings.numInferenceSteps, sigmas });
  assertGuidesSome(guidanceInterval, levels.sigmas);
  return {
    sample: sampler.sample,
    schedule: levels,
    churn: settings,
    predictionType: config.predictionType,
    guidanceScales: scalesOf(settings),
    guidanceInterval,
  };
}
