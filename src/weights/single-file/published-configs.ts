/**
 * What do the published configurations say that tensors do not tell? Taken from the JSON files of
 * stabilityai/stable-video-diffusion-img2vid.
 */
import type { JsonObject } from "../types.ts";

export const publishedScheduler: JsonObject = {
  _class_name: "EulerDiscreteScheduler",
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  beta_start: 0.00085,
  interpolation_type: "linear",
  num_train_timesteps: 1000,
  prediction_type: "v_prediction",
  sigma_max: 700,
  sigma_min: 0.002,
  steps_offset: 1,
  timestep_spacing: "leading",
  timestep_type: "continuous",
  trained_betas: null,
  use_karras_sigmas: true,
};

export const publishedFeatureExtractor: JsonObject = {
  feature_extractor_type: "CLIPImageProcessor",
  crop_size: { height: 224, width: 224 },
  do_center_crop: true,
  do_convert_rgb: true,
  do_normalize: true,
  do_rescale: true,
  do_resize: true,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
  resample: 3,
  rescale_factor: 1 / 255,
  size: { shortest_edge: 224 },
};

/** 96 latent pixels of 8 pixels each: a square of 768, with the area of 1024 x 576. */
export const publishedUnetSize: JsonObject = { sample_size: 96 };
export const publishedVae: JsonObject = { sample_size: 768, scaling_factor: 0.18215, force_upcast: true };

export function modelIndexOf(vaeClass: unknown): JsonObject {
  return {
    _class_name: "StableVideoDiffusionPipeline",
    unet: ["diffusers", "UNetSpatioTemporalConditionModel"],
    vae: ["diffusers", vaeClass],
    image_encoder: ["transformers", "CLIPVisionModelWithProjection"],
    scheduler: ["diffusers", "EulerDiscreteScheduler"],
    feature_extractor: ["transformers", "CLIPImageProcessor"],
  };
}

/** The number of frames that a checkpoint was trained on, if a text names it: 25 for all with "xt", 14 for the first one. */
export function trainedFrames(texts: readonly string[]): number | undefined {
  const some = (pattern: RegExp) => texts.some((text) => pattern.test(text));
  if (some(/(svd|img2vid|stable[-_ ]?video[-_ ]?diffusion)[-_ .]?xt/i)) return 25;
  return some(/svd|img2vid|stable[-_ ]?video[-_ ]?diffusion/i) ? 14 : undefined;
}
