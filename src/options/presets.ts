/** Which settings were published with a checkpoint, and how is a published checkpoint recognised? */
import { inCall, message, option, StillmotionError } from "../errors.ts";
import type { UnetConfig } from "../models/unet.ts";
import type { Checkpoint } from "../weights/types.ts";
import type { GenerateSettings } from "./generate-options.ts";
import { parseSettings } from "./parse-settings.ts";

export const presetNames = ["official", "diffusers"] as const;

/**
 * `official` settings are those a checkpoint was published with, `diffusers` those of the reference's call.
 * @useDeclaredType
 */
export type PresetName = (typeof presetNames)[number];

/** The preset in force: its settings, and what it is called when it is told or stored. */
export interface Preset {
  /** Such as `official svd-xt` or `diffusers`. */
  readonly name: string;
  readonly settings: GenerateSettings;
}

interface Published {
  readonly name: string;
  /** Names of repositories, folders and single files that it goes by. */
  readonly names: readonly string[];
  readonly settings: GenerateSettings;
}

/** Of the checkpoint's own sampling scripts and model cards. */
const published: readonly Published[] = [
  {
    name: "svd",
    names: ["stable-video-diffusion-img2vid", "svd", "svd_image_decoder"],
    settings: { numInferenceSteps: 25, minGuidanceScale: 1, maxGuidanceScale: 2.5 },
  },
  {
    name: "svd-xt",
    names: ["stable-video-diffusion-img2vid-xt", "svd-xt", "svd_xt", "svd_xt_image_decoder"],
    settings: { numInferenceSteps: 30, minGuidanceScale: 1.5, maxGuidanceScale: 3 },
  },
  {
    name: "svd-xt-1.1",
    names: ["stable-video-diffusion-img2vid-xt-1-1", "svd-xt-1.1", "svd_xt_1_1"],
    settings: { numInferenceSteps: 30, minGuidanceScale: 1.5, maxGuidanceScale: 3, fps: 7, motionBucketId: 127 },
  },
];

/** What a UNet trained for few steps is sampled with; it is recognised by the name of its file. */
const animateLcm: Preset = {
  name: "animate-lcm",
  settings: { scheduler: "animate-lcm", numInferenceSteps: 4, minGuidanceScale: 1, maxGuidanceScale: 1 },
};
const animateLcmFile = /animate-?_?lcm/i;

/** The widths that all published checkpoints share. */
const publishedWidths = "320,640,1280,1280";

/**
 * The preset of a checkpoint: AnimateLCM's for a UNet of that name, else that of the file `preset.json`, else that of the
 * published checkpoint that it is by its name, or by its widths and number of frames, else that of the reference's call.
 *
 * @param wanted `diffusers` for the last; `official` for one of the others, which must be known then
 * @throws StillmotionError `invalid-option` when no official one is known
 */
export function presetOf(
  checkpoint: Checkpoint,
  unet: Pick<UnetConfig, "blockOutChannels" | "numFrames">,
  wanted?: PresetName,
): Preset {
  const official = wanted === "diffusers" ? undefined : officialPreset(checkpoint, unet);
  if (official) return official;
  if (wanted === "official") {
    const known = published.map(({ name }) => name).join(", ");
    throw new StillmotionError(
      "invalid-option",
      message`${inCall("fromPretrained")}${option("preset")} is official, but ${checkpoint.folder} is none of ${known}, by its name or its widths, and has no preset.json; leave the preset out, or take diffusers`,
    );
  }
  return { name: "diffusers", settings: {} };
}

function officialPreset(
  checkpoint: Checkpoint,
  unet: Pick<UnetConfig, "blockOutChannels" | "numFrames">,
): Preset | undefined {
  if (animateLcmFile.test(checkpoint.unet.configFrom ?? "")) return animateLcm;
  if (checkpoint.preset) {
    return { name: "preset.json", settings: parseSettings("preset.json", checkpoint.preset, "invalid-checkpoint") };
  }
  const names = namesOf(checkpoint.folder);
  const byName = published.find((known) => known.names.some((name) => names.includes(name)));
  const known = byName ?? byShape(unet);
  return known && { name: `official ${known.name}`, settings: known.settings };
}

function byShape({ blockOutChannels, numFrames }: Pick<UnetConfig, "blockOutChannels" | "numFrames">) {
  if (String(blockOutChannels) !== publishedWidths) return undefined;
  return published.find(({ name }) => name === (numFrames > 14 ? "svd-xt" : "svd"));
}

/** The folder's name, the file's without its extension, and that of the repository in a Hugging Face cache. */
function namesOf(path: string): string[] {
  const parts = path
    .toLowerCase()
    .split(/[/\\]/)
    .filter((part) => part !== "");
  const cached = parts.filter((part) => part.startsWith("models--"));
  return [...parts.slice(-1), ...cached].map((part) =>
    part.replace(/^models--.*?--/, "").replace(/(\.fp16)?\.safetensors$/, ""),
  );
}

/**
 * What of the settings lies far from what the published checkpoints were trained on, in words. None for other checkpoints.
 *
 * @param unetFile the name of the file that the UNet comes from, where it is a single one
 */
export function farFromTraining(
  settings: GenerateSettings,
  unet: Pick<UnetConfig, "blockOutChannels" | "numFrames">,
  unetFile = "",
): string[] {
  if (String(unet.blockOutChannels) !== publishedWidths) return [];
  const { width = 0, height = 0, numFrames = 0, fps = 0, motionBucketId = 0, noiseAugStrength = 0 } = settings;
  const area = (width * height) / (1024 * 576);
  const isAnimateLcm = animateLcmFile.test(unetFile);
  return [
    settings.scheduler === "animate-lcm" &&
      !isAnimateLcm &&
      "animate-lcm is for UNets distilled for it, such as AnimateLCM-SVD-xt; this one has no such name",
    settings.scheduler !== "animate-lcm" &&
      isAnimateLcm &&
      `${unetFile} was distilled for animate-lcm, and ${settings.scheduler} is another scheduler`,
    (area < 0.2 || area > 1.5) && `${width}x${height} is far from the 1024x576 that this checkpoint was trained on`,
    numFrames > 1.5 * unet.numFrames && `${numFrames} frames are many for a checkpoint trained on ${unet.numFrames}`,
    (fps < 3 || fps > 30) && `fps ${fps} is outside the 3 to 30 of the training`,
    motionBucketId > 255 && `motion bucket ${motionBucketId} is above the 255 of the training`,
    noiseAugStrength > 1 && `noise strength ${noiseAugStrength} hides most of the picture`,
  ].filter((warning) => warning !== false);
}
