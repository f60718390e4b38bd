/** Is a class that a checkpoint names one of Stable Video Diffusion's, under its own name or another? */
import { StillmotionError } from "../../errors.ts";
import { printable } from "../../printable.ts";
import type { Component, JsonObject } from "../types.ts";

type Part = Component["name"] | "scheduler" | "feature_extractor";

interface ClassNames {
  /** By which nothing need be said; the first is the one that messages name. */
  readonly own: readonly string[];
  /** Of networks or samplers that are surely others. All other names are taken, and the tensors decide. */
  readonly foreign: RegExp;
}

const classes: Readonly<Record<Part, ClassNames>> = {
  unet: {
    own: ["UNetSpatioTemporalConditionModel"],
    foreign:
      /^(?:UNet[123]D(?:Condition)?Model|UNetMotionModel|UNetControlNetXSModel|ControlNet\w*|I2VGenXLUNet|Kandinsky3UNet|StableCascadeUNet|UVit2DModel)$|Transformer/,
  },
  vae: {
    own: ["AutoencoderKLTemporalDecoder"],
    foreign:
      /^(?:AutoencoderKL(?:$|Allegro|CogVideoX|Cosmos|Flux|Hunyuan|LTX|Magvit|Mochi|Qwen|Wan)|Asymmetric|AutoencoderTiny|AutoencoderDC|AutoencoderOobleck|VQModel|Consistency)/,
  },
  image_encoder: {
    own: ["CLIPVisionModelWithProjection"],
    foreign: /^(?:CLIPText|CLIPSeg|Siglip|Dino|ViT|Blip|T5|Llama|Qwen)/,
  },
  scheduler: {
    own: ["EulerDiscreteScheduler"],
    foreign:
      /Flow|RFScheduler|^(?:Amused|BlockRefinement|CogVideoX|ConsistencyDecoder|DDPMWuerstchen|DiscreteDDIM|EntropyBound|Helios|KarrasVe|MiniMax|RFD|SCM|ScoreSde|UnCLIP|VQ)/,
  },
  feature_extractor: {
    own: ["CLIPImageProcessor", "CLIPFeatureExtractor", "CLIPImageProcessorFast", "CLIPImageProcessorPil"],
    foreign: /Tokenizer/,
  },
};

const networks = ["unet", "vae", "image_encoder"] as const;
const pipelineClass = "StableVideoDiffusionPipeline";

/** The name that a part's class has in diffusers or transformers. */
export function ownClass(part: Part): string {
  return classes[part].own[0]!;
}

/** `own` also for a part whose class is not told. */
export function classKind(part: Part, className: string | undefined): "own" | "other" | "foreign" {
  if (className === undefined || classes[part].own.includes(className)) return "own";
  return classes[part].foreign.test(className) ? "foreign" : "other";
}

/** The class that a `model_index.json` names for a part: `["diffusers", "MyUNet"]`, or by itself. */
export function classInIndex(modelIndex: JsonObject, part: Part): string | undefined {
  return lastName(modelIndex[part]);
}

function lastName(entry: unknown): string | undefined {
  const name: unknown = Array.isArray(entry) ? entry.at(-1) : entry;
  return typeof name === "string" ? name : undefined;
}

/**
 * Throws unless a `model_index.json` names networks that may be those of a checkpoint.
 *
 * @returns what it says otherwise than the published ones, in sentences
 */
export function checkModelIndex(modelIndex: JsonObject, path: string): string[] {
  checkPipelineClass(modelIndex, path);
  for (const part of Object.keys(classes) as Part[]) {
    const problem = problemOf(modelIndex, part);
    if (problem !== undefined) refuse(path, problem);
  }
  return pipelineAssumptions(modelIndex, path);
}

/** Throws when a `model_index.json` is that of another model: not this pipeline, nor another of the same networks. */
export function checkPipelineClass(modelIndex: JsonObject, path: string): void {
  const pipeline = pipelineOf(modelIndex);
  if (pipeline === pipelineClass || hasOurNetworks(modelIndex)) return;
  const kind = Object.hasOwn(modelIndex, "text_encoder") ? ", which makes pictures or clips from text" : "";
  const got = pipeline === undefined ? "has no _class_name" : `is of class ${printable(pipeline)}${kind}`;
  refuse(path, `${got}; expected a ${pipelineClass}, such as stabilityai/stable-video-diffusion-img2vid-xt`);
}

/** True when a `model_index.json` is that of a checkpoint of Stable Video Diffusion, by its names. */
export function isVideoIndex(modelIndex: JsonObject): boolean {
  return pipelineOf(modelIndex) === pipelineClass || hasOurNetworks(modelIndex);
}

function hasOurNetworks(modelIndex: JsonObject): boolean {
  return networks.every((part) => problemOf(modelIndex, part) === undefined);
}

/** Custom pipelines are named with their module: `["pipeline", "MyPipeline"]`. */
function pipelineOf({ _class_name: name }: JsonObject): string | undefined {
  return lastName(name);
}

function problemOf(modelIndex: JsonObject, part: Part): string | undefined {
  const className = classInIndex(modelIndex, part);
  const isNetwork = networks.some((network) => network === part);
  if (className === undefined && !isNetwork) return undefined; // its file tells
  if (className === undefined) return `names no class for ${part}, expected ${ownClass(part)}`;
  return classKind(part, className) === "foreign"
    ? foreignText(`names ${printable(className)} for ${part}`, part)
    : undefined;
}

/** @param got what was met, such as `is of class DDIMScheduler` */
export function foreignText(got: string, part: Part): string {
  const reason =
    part !== "scheduler"
      ? ""
      : /flow|RFScheduler/i.test(got)
        ? ", which samples flow matching"
        : ", which samples other networks";
  return `${got}${reason}, expected ${ownClass(part)}`;
}

function pipelineAssumptions(modelIndex: JsonObject, path: string): string[] {
  const pipeline = pipelineOf(modelIndex);
  if (pipeline === pipelineClass) return [];
  const others = Object.entries(modelIndex).flatMap(([part, entry]) => {
    const isPart = Array.isArray(entry) && lastName(entry) !== undefined; // a text by itself may be any setting
    return isPart && !Object.hasOwn(classes, part) && !part.startsWith("_") ? [part] : [];
  });
  const left = others.length === 0 ? "" : `, without its ${others.map(printable).join(", ")}`;
  const got = pipeline === undefined ? "names no pipeline" : `is of class ${printable(pipeline)}`;
  return [`${path}: ${got}; its networks are those of a ${pipelineClass} and are run as one${left}`];
}

function refuse(where: string, problem: string): never {
  throw new StillmotionError("invalid-checkpoint", `${where}: ${problem}`);
}
