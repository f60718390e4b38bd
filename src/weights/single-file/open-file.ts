/** How is a checkpoint in a single file opened? As if it had diffusers layout: with those names of tensors, and with configurations. */
import { message, StillmotionError } from "../../errors.ts";
import { printable } from "../../printable.ts";
import { followLinks } from "../checkpoint/component-weights.ts";
import { takeScales } from "../checkpoint/scales.ts";
import type { FileSource } from "../file-source.ts";
import { readSafetensorsHeader } from "../safetensors/safetensors-file.ts";
import { dataTypeOf, refusePickle, type SafetensorsHeader } from "../safetensors/safetensors-header.ts";
import type { Checkpoint, Component, JsonObject, WeightEntry } from "../types.ts";
import { clipVisionTensors } from "./clip-names.ts";
import { assertHeadsKnown, clipVisionConfigOf, unetConfigOf, vaeConfigOf } from "./config-from-shapes.ts";
import { type FileKind, fileKind, kindInWords } from "./file-kind.ts";
import { encoderStart, ignoredAs, neededStarts, partStarts } from "./file-parts.ts";
import {
  modelIndexOf,
  publishedFeatureExtractor,
  publishedScheduler,
  publishedUnetSize,
  publishedVae,
  trainedFrames,
} from "./published-configs.ts";
import { standardNames } from "./standard-names.ts";
import { named, type Tensors } from "./stored-tensors.ts";
import { unetTensors } from "./unet-names.ts";
import { decoderTensors, encoderTensors, isTemporal } from "./vae-names.ts";

/** Those of SVD. SVD-XT, which has more, says so in its name. */
const defaultFrames = 14;

/** A file whose header was read. */
export interface WeightsFile {
  readonly path: string;
  /** As in the path, without its folder. */
  readonly name: string;
  readonly kind: FileKind;
  /** Its tensors go by their {@link standardNames}, and each has the stored one inside. */
  readonly header: SafetensorsHeader;
  /** Where the file really lies, links followed. */
  readonly weightsFolder: string;
  readonly fileName: string;
  /** From its name or metadata. */
  readonly numFrames: number | undefined;
}

/**
 * Reads the header of a .safetensors file, whatever is in it.
 *
 * @throws StillmotionError `invalid-checkpoint` or `unsupported` for half a download, a pickle or another format
 */
export async function readWeightsFile(files: FileSource, path: string): Promise<WeightsFile> {
  refuseByName(path);
  const real = await followLinks(files, path);
  const standard = withStandardNames(await readSafetensorsHeader(files, path), path);
  const kind = fileKind(standard.entries.keys());
  const header = kind === "checkpoint" || kind === "unet" ? await withScales(files, standard, path) : standard;
  const { name } = files.placeOf(path);
  return {
    path,
    name,
    kind,
    header,
    weightsFolder: real.folder,
    fileName: real.name,
    numFrames: trainedFrames([name, ...textsOf(header)]),
  };
}

/** The header with standard names. Those of a LoRA stay, because they have prefixes of their own. */
function withStandardNames(header: SafetensorsHeader, path: string): SafetensorsHeader {
  if (fileKind(header.entries.keys()) === "lora") return header;
  const names = standardNames(header.entries.keys(), path);
  return { ...header, entries: new Map([...header.entries].map(([name, entry]) => [names.get(name)!, entry])) };
}

/** Texts that may tell the number of frames. Not ComfyUI's architecture, which is the same for all checkpoints of SVD. */
function textsOf({ metadata }: SafetensorsHeader): string[] {
  return Object.entries(metadata).flatMap(([name, text]) => (name === "modelspec.architecture" ? [] : [text]));
}

/**
 * Opens a checkpoint in a single file of the original layout, such as svd_xt.safetensors.
 *
 * @throws StillmotionError `invalid-checkpoint` or `unsupported`, naming what the file is instead
 */
export async function openSingleFile(files: FileSource, path: string): Promise<Checkpoint> {
  refuseByName(path);
  const [, extension = ""] = /.(\.[^.]*)$/.exec(files.placeOf(path).name) ?? [];
  if (extension !== "" && !/^\.(safetensors|sft)$/i.test(extension)) {
    const problem = `is a ${printable(extension)} file; expected a .safetensors file or a folder in diffusers layout`;
    throw new StillmotionError("invalid-checkpoint", `${path}: ${problem}`);
  }
  const file = await readWeightsFile(files, path);
  if (file.kind !== "checkpoint") {
    const whatItIs = kindInWords(file.kind, file.header.entries.keys());
    throw new StillmotionError("unsupported", message`${path}: is ${whatItIs}`);
  }
  assertAllKnown(file);
  const [unet, vae, imageEncoder] = [unetOfFile(file), vaeOfFile(file), imageEncoderOfFile(file)];
  return {
    folder: path,
    modelIndex: modelIndexOf(vae.config._class_name),
    unet,
    vae,
    imageEncoder,
    schedulerConfig: publishedScheduler,
    featureExtractorConfig: publishedFeatureExtractor,
    assumptions: assumptionsOf(file),
  };
}

/** The header with scales moved from among the tensors to the weights that they belong to. */
async function withScales(files: FileSource, header: SafetensorsHeader, path: string): Promise<SafetensorsHeader> {
  const tensors = new Map(Array.from(header.entries, ([name, entry]) => [name, { entry, path }]));
  const entries = Array.from(await takeScales(files, tensors), ([name, { entry }]) => [name, entry] as const);
  return { ...header, entries: new Map(entries) };
}

function refuseByName(path: string): void {
  if (/\.(bin|ckpt|pt|pth|pkl)$/i.test(path)) refusePickle(path);
  if (/\.(incomplete|part|partial|crdownload|download|tmp)$/i.test(path)) {
    throw new StillmotionError("invalid-checkpoint", `${path}: is half a download by its name: finish it first`);
  }
}

/** What had to be assumed because the file does not say it. */
export function assumptionsOf({ path, numFrames }: WeightsFile): string[] {
  if (numFrames !== undefined) return [];
  return [
    `${path}: neither its name nor its metadata says how many frames it was trained on; ${defaultFrames} are assumed`,
  ];
}

export function unetOfFile(file: WeightsFile): Component {
  const tensors = unetTensors(partOf(file, partStarts.unet, "UNet"));
  const shapes = unetConfigOf(tensors, file.path);
  assertHeadsKnown(shapes, file.path);
  const config = { ...shapes, ...publishedUnetSize, num_frames: file.numFrames ?? defaultFrames };
  return component(file, "unet", config, tensors);
}

export function vaeOfFile(file: WeightsFile): Component {
  const start = encoderStart(file.header.entries.keys());
  const decoder = partOf(file, `${partStarts.firstStage}decoder.`, "VAE decoder");
  const tensors = new Map([
    ...encoderTensors(partOf(file, `${start}encoder.`, "VAE encoder")),
    ...besides(file, start, "quant_conv."),
    ...decoderTensors(decoder),
    ...(isTemporal(decoder) ? [] : besides(file, partStarts.firstStage, "post_quant_conv.")),
  ]);
  const config = { ...vaeConfigOf(tensors, file.path), ...publishedVae, ...quantConvsOf(file, start, decoder) };
  return component(file, "vae", config, tensors);
}

/**
 * Which 1x1 convolutions around the latents are left out. An autoencoder may have none of them: generative-models
 * sgm/models/autoencoder.py `AutoencodingEngine`, which is the one that ComfyUI keeps. One convolution without its bias, or only one of
 * the two, means damage.
 */
function quantConvsOf({ header }: WeightsFile, encoderStart: string, decoder: Tensors): JsonObject {
  const { firstStage } = partStarts;
  const has = (name: string) => header.entries.has(`${firstStage}${name}.weight`);
  const isFrameWise = !isTemporal(decoder);
  if (has("quant_conv") || (isFrameWise && has("post_quant_conv"))) return {};
  return {
    ...(encoderStart === firstStage && { use_quant_conv: false }),
    ...(isFrameWise && { use_post_quant_conv: false }),
  };
}

export function imageEncoderOfFile(file: WeightsFile): Component {
  const tensors = clipVisionTensors(partOf(file, partStarts.imageEncoder, "image encoder"));
  return component(file, "image_encoder", clipVisionConfigOf(tensors, file.path), tensors);
}

/** Throws when a tensor is neither one that a network reads nor known to be without effect. */
export function assertAllKnown({ path, header }: WeightsFile): void {
  const needed = neededStarts(header.entries.keys());
  const unknown = [...header.entries.keys()].filter(
    (name) => !needed.some((start) => name.startsWith(start)) && ignoredAs(name) === undefined,
  );
  if (unknown.length === 0) return;
  const shown = unknown.slice(0, 5).map(printable).join(", ");
  const rest = unknown.length > 5 ? ` and ${unknown.length - 5} more` : "";
  throw new StillmotionError(
    "unsupported",
    `${path}: holds tensors that no part of Stable Video Diffusion has: ${shown}${rest}; a run without them could come out wrong`,
  );
}

/** The tensors whose names start with `start`, named without it. There must be some. */
function partOf(file: WeightsFile, start: string, what: string): Tensors {
  const tensors = below(file, start);
  if (tensors.size > 0) return tensors;
  throw new StillmotionError("invalid-checkpoint", `${file.path}: has no ${what}, expected tensors named ${start}*`);
}

/** Tensors whose names diffusers shares, such as `quant_conv.weight`. */
function besides(file: WeightsFile, start: string, name: string): Tensors {
  return named([...below(file, start + name)].map(([rest, entry]) => [name + rest, entry] as const));
}

/** The tensors whose names start with `start`, named without it. */
export function below(file: WeightsFile, start: string): Tensors {
  const entries = [...entriesOf(file, (name) => name.startsWith(start))];
  return new Map(entries.map(([name, entry]) => [name.slice(start.length), entry]));
}

/** The wanted tensors. Only these need a number format that is read; ignored ones may have any. */
export function entriesOf({ path, header, fileName }: WeightsFile, isWanted: (name: string) => boolean): Tensors {
  const entries = new Map<string, WeightEntry>();
  for (const [name, entry] of header.entries) {
    if (!isWanted(name)) continue;
    const { shape, offset, sizeBytes, scales } = entry;
    const where = { file: fileName, offset, sizeBytes };
    entries.set(name, { name, dtype: dataTypeOf(entry, path), shape, ...where, ...(scales && { scales }) });
  }
  return entries;
}

export function component(
  { weightsFolder, name: fileName }: WeightsFile,
  name: Component["name"],
  config: JsonObject,
  tensors: Tensors,
): Component {
  return { name, config, configFrom: fileName, weightsFolder, tensors };
}
