/** What does a checkpoint hold? Configurations and tensor locations are read and checked, the weights stay in their files. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Message, message, StillmotionError } from "../errors.ts";
import { readShardedWeights, readSingleWeights } from "./component-weights.ts";
import { fileSystemReason, isMissing } from "./file-system-errors.ts";
import { readJsonFile, readOptionalJsonFile } from "./json-file.ts";
import { isFile, listCheckpointFolder } from "./not-a-checkpoint.ts";
import { printable } from "./printable.ts";
import { openSingleFile } from "./single-file/open-file.ts";
import { replaceUnet } from "./single-file/unet-file.ts";
import type { Checkpoint, Component, JsonObject } from "./types.ts";
import { chooseWeightsFile, leaveVariantOut, variantsIn, weightsNamings } from "./weights-files.ts";

/** The classes that a checkpoint must be made of, by their names in `model_index.json`. */
const classNames = {
  unet: ["UNetSpatioTemporalConditionModel"],
  vae: ["AutoencoderKLTemporalDecoder"],
  image_encoder: ["CLIPVisionModelWithProjection"],
  scheduler: ["EulerDiscreteScheduler"],
  feature_extractor: ["CLIPImageProcessor", "CLIPFeatureExtractor", "CLIPImageProcessorFast", "CLIPImageProcessorPil"],
} as const;

/**
 * Opens a Stable Video Diffusion checkpoint, in diffusers layout or in a single file of the original layout. Reads
 * configurations and file headers only, and checks that each weights file is as long as its header says, so that mapping
 * it is safe.
 *
 * @param path a folder that holds `model_index.json`, which may be a snapshot folder of the Hugging Face cache, whose files
 *   are links; or a .safetensors file that holds all networks, such as svd_xt.safetensors
 * @param options.variant read `*.fp16.safetensors` for `fp16`; a component without that variant is read from its plain
 *   files. Default: the plain files, or a component's only variant. A single file has none
 * @param options.unet takes the place of the checkpoint's UNet, whose weights need not be there then
 * @throws StillmotionError `invalid-checkpoint` or `unsupported`, naming the file and what was expected; `invalid-option`
 *   for a variant of a single file
 *
 * @example
 * const checkpoint = await openCheckpoint("models/svd-xt", { variant: "fp16" });
 * checkpoint.unet.tensors.get("conv_in.weight"); // { dtype: "float16", shape: [320, 8, 3, 3], file, offset, sizeBytes }
 */
export async function openCheckpoint(
  path: string,
  options: { variant?: string | undefined; unet?: Component | undefined } = {},
): Promise<Checkpoint> {
  const { variant, unet } = options;
  if (!(await isFile(path))) return openFolder(path, variant, unet);
  if (variant === undefined) {
    const checkpoint = await openSingleFile(path);
    return unet ? replaceUnet(checkpoint, unet) : checkpoint;
  }
  const problem = message`a single file has no variants, got "${printable(variant)}"; ${leaveVariantOut}`;
  throw new StillmotionError("invalid-option", message`${path}: ${problem}`);
}

async function openFolder(
  folder: string,
  variant: string | undefined,
  otherUnet: Component | undefined,
): Promise<Checkpoint> {
  await listCheckpointFolder(folder);
  const modelIndex = await readJsonFile(join(folder, "model_index.json"));
  checkModelIndex(modelIndex, join(folder, "model_index.json"));

  const listings = {
    unet: await listComponent(folder, "unet"),
    vae: await listComponent(folder, "vae"),
    image_encoder: await listComponent(folder, "image_encoder"),
  };
  if (variant !== undefined) checkVariant(listings, variant, folder);
  const open = (name: Component["name"]) => openComponent(folder, name, listings[name], variant);

  const preset = await readOptionalJsonFile(join(folder, "preset.json"));
  const checkpoint = {
    folder,
    modelIndex,
    unet: otherUnet ? { ...otherUnet, config: await readConfig(folder, "unet") } : await open("unet"),
    vae: await open("vae"),
    imageEncoder: await open("image_encoder"),
    schedulerConfig: await readJsonFile(join(folder, "scheduler", "scheduler_config.json")),
    featureExtractorConfig: await readJsonFile(join(folder, "feature_extractor", "preprocessor_config.json")),
    ...(preset && { preset }),
  };
  return otherUnet ? replaceUnet(checkpoint, otherUnet) : checkpoint;
}

/** Throws unless a `model_index.json` names the classes that a checkpoint must be made of. */
export function checkModelIndex(modelIndex: JsonObject, path: string): void {
  checkPipelineClass(modelIndex, path);
  for (const [name, accepted] of Object.entries(classNames)) {
    const entry = modelIndex[name];
    const className: unknown = Array.isArray(entry) ? entry[1] : undefined;
    if (typeof className !== "string") refuse(path, `names no class for ${name}, expected ${accepted[0]}`);
    if (!accepted.some((each) => each === className)) {
      refuse(path, `names ${printable(className)} for ${name}, expected ${accepted[0]}`);
    }
  }
}

/** Throws when a `model_index.json` is that of another model. */
export function checkPipelineClass(modelIndex: JsonObject, path: string): void {
  const pipeline = modelIndex._class_name;
  if (pipeline !== "StableVideoDiffusionPipeline") {
    const kind = Object.hasOwn(modelIndex, "text_encoder") ? ", which makes pictures or clips from text" : "";
    const got = typeof pipeline === "string" ? `is of class ${printable(pipeline)}${kind}` : "has no _class_name";
    refuse(
      path,
      `${got}; expected a StableVideoDiffusionPipeline, such as stabilityai/stable-video-diffusion-img2vid-xt`,
    );
  }
}

/** The names of the files in a component's folder. */
export async function listComponent(folder: string, name: Component["name"]): Promise<readonly string[]> {
  const path = join(folder, name);
  try {
    return await readdir(path);
  } catch (cause) {
    const problem = isMissing(cause) ? "the folder is missing: is the download complete?" : fileSystemReason(cause);
    throw new StillmotionError("invalid-checkpoint", `${path}: ${problem}`, { cause });
  }
}

/** diffusers 0.42.1 pipelines/pipeline_utils.py `from_pretrained`: a variant that no component has is an error. */
function checkVariant(
  listings: Readonly<Record<Component["name"], readonly string[]>>,
  variant: string,
  folder: string,
): void {
  const found = new Set<string>();
  for (const name of ["unet", "vae", "image_encoder"] as const) {
    for (const each of variantsIn(listings[name], weightsNamings[name].stem).keys()) found.add(each);
  }
  if (found.has(variant)) return;
  found.delete("");
  const advice = found.size === 0 ? leaveVariantOut : `it has ${[...found].sort().join(", ")}`;
  refuse(folder, message`has no weights of the variant "${printable(variant)}"; ${advice}`);
}

/** @param fileNames see {@link listComponent} */
export async function openComponent(
  checkpointFolder: string,
  name: Component["name"],
  fileNames: readonly string[],
  variant: string | undefined,
): Promise<Component> {
  const folder = join(checkpointFolder, name);
  const config = await readConfig(checkpointFolder, name);
  const weightsFile = chooseWeightsFile(fileNames, weightsNamings[name], folder, variant);
  const read = weightsFile.kind === "index" ? readShardedWeights : readSingleWeights;
  return { name, config, ...(await read(folder, weightsFile.name)) };
}

async function readConfig(checkpointFolder: string, name: Component["name"]): Promise<JsonObject> {
  const path = join(checkpointFolder, name, "config.json");
  const [className] = classNames[name];
  const config = await readJsonFile(path);
  const ownName = Array.isArray(config.architectures) ? config.architectures[0] : config._class_name;
  if (ownName === undefined || ownName === className) return config;
  return refuse(path, `is of class ${printable(String(ownName))}, expected ${className}`);
}

function refuse(where: string, problem: Message): never {
  throw new StillmotionError("invalid-checkpoint", message`${where}: ${problem}`);
}
