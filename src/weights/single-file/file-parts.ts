/**
 * Which part of a checkpoint does a tensor of a single file belong to? Told by the start of its name, as generative-models
 * writes them (scripts/sampling/configs/svd.yaml and svd_image_decoder.yaml).
 */
import { isAverage } from "../names/wrapper-prefixes.ts";

/** Where the tensors of each network start. */
export const partStarts = {
  unet: "model.diffusion_model.",
  imageEncoder: "conditioner.embedders.0.open_clip.model.visual.",
  /** The autoencoder that encodes the picture. */
  pictureEncoder: "conditioner.embedders.3.encoder.",
  /** The autoencoder that decodes the clip. */
  firstStage: "first_stage_model.",
} as const;

/** The starts of names that no run needs, with what they are. The first one that fits a name counts. */
const ignoredStarts: Readonly<Record<string, string>> = {
  "conditioner.embedders.0.open_clip.": "the text tower",
  "conditioner.embedders.3.encoder.": "the half of the picture's autoencoder that decodes",
  "first_stage_model.": "the half of the clip's autoencoder that encodes",
  "conditioner.embedders.": "embedders without weights",
  "denoiser.": "tables of the sampler",
  // ComfyUI comfy_extras/nodes_model_merging.py `save_checkpoint`
  "edm_vpred.": "the ends of the sampler's noise levels",
  v_pred: "a mark of what the UNet predicts",
  ztsnr: "a mark of the sampler",
};

/** Where the encoder lies: in the picture's own autoencoder if there is one, else in the clip's. */
export function encoderStart(names: Iterable<string>): string {
  const { pictureEncoder, firstStage } = partStarts;
  for (const name of names) if (name.startsWith(`${pictureEncoder}encoder.`)) return pictureEncoder;
  return firstStage;
}

/** The starts of all names that the networks of this file read. */
export function neededStarts(names: Iterable<string>): readonly string[] {
  const list = [...names];
  const encoder = encoderStart(list);
  const { unet, imageEncoder, firstStage } = partStarts;
  const isFrameWise = !list.some((name) =>
    /^decoder\.(conv_out\.time_mix_conv|time_conv_out)\./.test(name.slice(firstStage.length)),
  );
  return [
    unet,
    imageEncoder,
    `${encoder}encoder.`,
    `${encoder}quant_conv.`,
    `${firstStage}decoder.`,
    ...(isFrameWise ? [`${firstStage}post_quant_conv.`] : []),
  ];
}

/** What a tensor that no run needs is; undefined for one that is not known. */
export function ignoredAs(name: string): string | undefined {
  if (isAverage(name)) return "averages of the training";
  return Object.entries(ignoredStarts).find(([start]) => name.startsWith(start))?.[1];
}
