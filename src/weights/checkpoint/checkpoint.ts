/** What does a checkpoint hold? Configurations and tensor locations are read and checked, the weights stay in their files. */
import { type Message, message, StillmotionError } from "../../errors.ts";
import { printable } from "../../printable.ts";
import type { FileSource } from "../file-source.ts";
import { checkModelIndex, classInIndex, classKind, ownClass } from "../names/class-names.ts";
import { ownNames } from "../names/network-prefixes.ts";
import { chooseWeightsFile, leaveVariantOut, variantsIn, weightsNamings } from "../names/weights-files.ts";
import { clipVisionTensors } from "../single-file/clip-names.ts";
import { openSingleFile } from "../single-file/open-file.ts";
import { replaceUnet } from "../single-file/unet-file.ts";
import type { Checkpoint, Component, JsonObject } from "../types.ts";
import { otherClassAssumptions, otherClassInIndex, readComponentConfig } from "./component-config.ts";
import { readShardedWeights, readSingleWeights } from "./component-weights.ts";
import { readJsonFile, readOptionalJsonFile } from "./json-file.ts";
import { isFile, listCheckpointFolder } from "./not-a-checkpoint.ts";
import { asEulerDiscrete } from "./scheduler-config.ts";

export interface OpenCheckpointOptions {
  /**
   * `fp16` reads `*.fp16.safetensors`; a component without that variant is read from its plain files. Default: the plain files, or a
   * component's only variant. A single file has none.
   */
  readonly variant?: string | undefined;
  /** Takes the place of the checkpoint's UNet, whose weights need not be there then. */
  readonly unet?: Component | undefined;
}

/**
 * Opens a Stable Video Diffusion checkpoint, in diffusers layout or in a single file of the original layout. Reads
 * configurations and file headers only, and checks that each weights file is as long as its header says, so that mapping
 * it is safe.
 *
 * @param files where the path is looked up
 * @param path a folder that holds `model_index.json`, which may be a snapshot folder of the Hugging Face cache, whose files
 *   are links; or a .safetensors file that holds all networks, such as svd_xt.safetensors
 * @throws StillmotionError `invalid-checkpoint` or `unsupported`, naming the file and what was expected; `invalid-option`
 *   for a variant of a single file
 *
 * @example
 * const checkpoint = await openCheckpoint(disk, "models/svd-xt", { variant: "fp16" });
 * checkpoint.unet.tensors.get("conv_in.weight"); // { dtype: "float16", shape: [320, 8, 3, 3], file, offset, sizeBytes }
 */
export async function openCheckpoint(
  files: FileSource,
  path: string,
  options: OpenCheckpointOptions = {},
): Promise<Checkpoint> {
  const { variant, unet } = options;
  if (!(await isFile(files, path))) return openFolder(files, path, variant, unet);
  if (variant === undefined) {
    const checkpoint = await openSingleFile(files, path);
    return unet ? replaceUnet(checkpoint, unet) : checkpoint;
  }
  const problem = message`a single file has no variants, got "${printable(variant)}"; ${leaveVariantOut}`;
  throw new StillmotionError("invalid-option", message`${path}: ${problem}`);
}

async function openFolder(
  files: FileSource,
  folder: string,
  variant: string | undefined,
  otherUnet: Component | undefined,
): Promise<Checkpoint> {
  await listCheckpointFolder(files, folder);
  const indexPath = files.join(folder, "model_index.json");
  const modelIndex = await readJsonFile(files, indexPath);
  const assumptions = checkModelIndex(modelIndex, indexPath);

  const listings = {
    unet: await listComponent(files, folder, "unet"),
    vae: await listComponent(files, folder, "vae"),
    image_encoder: await listComponent(files, folder, "image_encoder"),
  };
  if (variant !== undefined) checkVariant(listings, variant, folder);
  const open = (name: Component["name"]) => openComponent(files, folder, name, listings[name], variant);

  const scheduler = await readScheduler(files, folder, modelIndex);
  const featureExtractor = await readFeatureExtractor(files, folder, modelIndex);
  const preset = await readOptionalJsonFile(files, files.join(folder, "preset.json"));
  const checkpoint = {
    folder,
    modelIndex,
    unet: otherUnet ? await withConfigOf(files, folder, otherUnet) : await open("unet"),
    vae: await open("vae"),
    imageEncoder: await open("image_encoder"),
    schedulerConfig: scheduler.config,
    featureExtractorConfig: featureExtractor.config,
    ...(preset && { preset }),
  };
  for (const { name, tensors, assumptions: ofPart = [] } of [
    checkpoint.unet,
    checkpoint.vae,
    checkpoint.imageEncoder,
  ]) {
    const otherClass = ofPart.length > 0 ? undefined : otherClassInIndex(modelIndex, name, indexPath);
    assumptions.push(...ofPart, ...otherClassAssumptions(otherClass, name, tensors.keys()));
  }
  assumptions.push(...scheduler.assumptions, ...featureExtractor.assumptions);
  const opened = { ...checkpoint, assumptions };
  return otherUnet ? replaceUnet(opened, otherUnet) : opened;
}

/** The checkpoint's own UNet with the tensors of another, which is all that {@link replaceUnet} needs of it. */
async function withConfigOf(files: FileSource, folder: string, otherUnet: Component): Promise<Component> {
  const { config } = await readComponentConfig(files, folder, "unet");
  return { ...otherUnet, config };
}

interface PartConfig {
  readonly config: JsonObject;
  readonly assumptions: readonly string[];
}

/** As the options of an Euler sampler, whatever its class. */
export async function readScheduler(files: FileSource, folder: string, modelIndex: JsonObject): Promise<PartConfig> {
  const path = files.join(folder, "scheduler", "scheduler_config.json");
  return asEulerDiscrete(await readJsonFile(files, path), classInIndex(modelIndex, "scheduler"), path);
}

/** Of any class: the mean and the deviation of its pixels are all that counts. */
export async function readFeatureExtractor(
  files: FileSource,
  folder: string,
  modelIndex: JsonObject,
): Promise<PartConfig> {
  const path = files.join(folder, "feature_extractor", "preprocessor_config.json");
  const config =
    (await readOptionalJsonFile(files, path)) ??
    (await processorConfig(files, folder)) ??
    (await readJsonFile(files, path));
  const className = config.image_processor_type ?? config.feature_extractor_type;
  const names = [className, classInIndex(modelIndex, "feature_extractor")];
  const other = names.find((name) => typeof name === "string" && classKind("feature_extractor", name) !== "own");
  if (other === undefined) return { config, assumptions: [] };
  const taken = `a ${ownClass("feature_extractor")} is taken instead, with its image_mean and image_std`;
  return { config, assumptions: [`${path}: is of class ${printable(String(other))}; ${taken}`] };
}

/** Of a whole processor, which transformers 5.23 writes into one file: the part for pictures. */
async function processorConfig(files: FileSource, folder: string): Promise<JsonObject | undefined> {
  const { image_processor: config } =
    (await readOptionalJsonFile(files, files.join(folder, "feature_extractor", "processor_config.json"))) ?? {};
  return typeof config === "object" && config !== null && !Array.isArray(config) ? (config as JsonObject) : undefined;
}

/** The names of the files in a component's folder. */
export async function listComponent(
  files: FileSource,
  folder: string,
  name: Component["name"],
): Promise<readonly string[]> {
  const path = files.join(folder, name);
  try {
    return await files.list(path);
  } catch (cause) {
    const { isMissing, reason } = files.problemOf(cause);
    const problem = isMissing ? "the folder is missing: is the download complete?" : reason;
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
  files: FileSource,
  checkpointFolder: string,
  name: Component["name"],
  fileNames: readonly string[],
  variant: string | undefined,
): Promise<Component> {
  const folder = files.join(checkpointFolder, name);
  const { config, otherClass } = await readComponentConfig(files, checkpointFolder, name);
  const weightsFile = chooseWeightsFile(fileNames, weightsNamings[name], folder, variant);
  const read = weightsFile.kind === "index" ? readShardedWeights : readSingleWeights;
  const { weightsFolder, tensors: stored } = await read(files, folder, weightsFile.name);
  const { tensors, assumptions } = ownTensors(name, stored, folder);
  return {
    name,
    config,
    weightsFolder,
    tensors,
    assumptions: [...otherClassAssumptions(otherClass, name, tensors.keys()), ...assumptions],
  };
}

/** A component's tensors under its own names. */
function ownTensors(
  name: Component["name"],
  stored: Component["tensors"],
  folder: string,
): Pick<Component, "tensors" | "assumptions"> & { assumptions: string[] } {
  const { names, textTensors } = ownNames(name, stored.keys(), folder);
  const renamed = new Map([...names].map(([storedAs, own]) => [own, { ...stored.get(storedAs)!, name: own }]));
  return {
    tensors: name === "image_encoder" ? clipVisionTensors(renamed) : renamed,
    assumptions: textTensors > 0 ? [`${folder}: holds a whole CLIP; its text half is left alone`] : [],
  };
}

function refuse(where: string, problem: Message): never {
  throw new StillmotionError("invalid-checkpoint", message`${where}: ${problem}`);
}
