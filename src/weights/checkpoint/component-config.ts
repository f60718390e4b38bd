/** What does a component's config.json describe, when it is of another class than the published one? */
import { StillmotionError } from "../../errors.ts";
import { printable } from "../../printable.ts";
import type { FileSource } from "../file-source.ts";
import { classInIndex, classKind, foreignText, ownClass } from "../names/class-names.ts";
import type { Component, JsonObject } from "../types.ts";
import { readJsonFile } from "./json-file.ts";

/** A class that is not the published one, and where it is named. */
interface OtherClass {
  readonly className: string;
  readonly path: string;
  /** Such as `is of class MyUNet`. */
  readonly got: string;
}

export interface ComponentConfig {
  /** As one of the published class. */
  readonly config: JsonObject;
  readonly otherClass: OtherClass | undefined;
}

/** @throws StillmotionError `invalid-checkpoint` for the class of another network */
export async function readComponentConfig(
  files: FileSource,
  checkpointFolder: string,
  name: Component["name"],
): Promise<ComponentConfig> {
  const path = files.join(checkpointFolder, name, "config.json");
  const stored = await readJsonFile(files, path);
  const config = name === "image_encoder" ? visionConfig(stored) : stored;
  const named: unknown = Array.isArray(stored.architectures) ? stored.architectures[0] : stored._class_name;
  const className = named == null ? undefined : String(named);
  const kind = classKind(name, className);
  if (className === undefined || kind === "own") return { config, otherClass: undefined };
  const otherClass = { className, path, got: `is of class ${printable(className)}` };
  if (kind === "foreign") refuseClass(otherClass, name);
  const own = name === "image_encoder" ? { architectures: [ownClass(name)] } : { _class_name: ownClass(name) };
  return { config: { ...config, ...own }, otherClass };
}

/** A tensor that no other kind of network has. */
const hallmarks: Readonly<Record<Component["name"], RegExp>> = {
  unet: /\.temporal_res_block\./,
  vae: /^decoder\.time_conv_out\./,
  image_encoder: /^visual_projection\./,
};

/**
 * What is to be said of a component of another class. Each of its tensors must have its place, which shows when the network
 * is written.
 *
 * @param names those of its tensors
 * @throws StillmotionError `invalid-checkpoint` when they are of another network
 */
export function otherClassAssumptions(
  otherClass: OtherClass | undefined,
  component: Component["name"],
  names: Iterable<string>,
): string[] {
  if (otherClass === undefined) return [];
  if (![...names].some((name) => hallmarks[component].test(name))) refuseClass(otherClass, component);
  return [`${otherClass.path}: ${otherClass.got}; its tensors are read as those of a ${ownClass(component)}`];
}

/** The vision half of a whole CLIP's configuration: transformers 5.23 models/clip/configuration_clip.py `CLIPConfig`. */
function visionConfig(config: JsonObject): JsonObject {
  const nested = config.vision_config_dict ?? config.vision_config;
  if (typeof nested !== "object" || nested === null || Array.isArray(nested)) return config;
  const { projection_dim: projectionDim } = config;
  return { ...nested, ...(projectionDim != null && { projection_dim: projectionDim }) };
}

/** What a `model_index.json` names for a component, where it is not the published class. */
export function otherClassInIndex(
  modelIndex: JsonObject,
  component: Component["name"],
  path: string,
): OtherClass | undefined {
  const className = classInIndex(modelIndex, component);
  if (className === undefined || classKind(component, className) === "own") return undefined;
  return { className, path, got: `names ${printable(className)} for ${component}` };
}

function refuseClass({ className, path, got }: OtherClass, component: Component["name"]): never {
  const lacks =
    component === "image_encoder" && /^CLIPVision/.test(className) ? ", and its weights hold no visual_projection" : "";
  throw new StillmotionError("invalid-checkpoint", `${path}: ${foreignText(got + lacks, component)}`);
}
