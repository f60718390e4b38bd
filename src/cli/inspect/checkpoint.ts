/** What is in a checkpoint's folder or file, or in a UNet's, what is it made for, and what is missing, unknown or wrong in it? */
import { join } from "node:path";
import { bytesText } from "../../byte-sizes.ts";
import { StillmotionError } from "../../errors.ts";
import { cpuLowerings } from "../../lowering/cpu/lowerings.ts";
import { clipVision, clipVisionConfig } from "../../models/clip-vision.ts";
import { conditioning, unetPart } from "../../models/conditioning.ts";
import { type Network, tensorProblems } from "../../models/network.ts";
import { unet, unetConfig } from "../../models/unet.ts";
import { vaeConfig, vaeDecoder, vaeEncoder, vaeHalf } from "../../models/vae.ts";
import { disk } from "../../node/files/disk.ts";
import { openCheckpoint } from "../../node/weights.ts";
import { parseSettings } from "../../options/parse-settings.ts";
import { readNetworks, trainedSize } from "../../pipeline/networks.ts";
import { eulerDiscreteConfig } from "../../schedulers/euler-discrete.ts";
import { elementCount } from "../../tensor.ts";
import { type CheckpointSurvey, surveyCheckpoint } from "../../weights/checkpoint/survey.ts";
import type { WeightsFile } from "../../weights/single-file/open-file.ts";
import { publishedUnetSize } from "../../weights/single-file/published-configs.ts";
import { unetFileComponent } from "../../weights/single-file/unet-file.ts";
import type { Component, JsonObject } from "../../weights/types.ts";
import { countText } from "../units.ts";
import type { Inspection } from "./inspection.ts";

/** How many problems are listed to people. */
const shownProblems = 30;

/** @throws StillmotionError when the path is no checkpoint's folder or file at all */
export async function inspectCheckpoint(folder: string, options: { variant?: string }): Promise<Inspection> {
  const survey = await surveyCheckpoint(disk, folder, options);
  const problems = [...survey.problems, ...deeperProblems(survey)];
  if (problems.length === 0) {
    // Each part is sound by itself. Now: do they fit each other?
    const checkpoint = await openCheckpoint(folder, options);
    problems.push(...problemsOf(() => void readNetworks(checkpoint, cpuLowerings, cpuLowerings.unet[0]!)));
  }
  const components = survey.components.map(describeComponent);
  const { schedulerConfig: scheduler, preset, assumptions } = survey;
  const madeFor = clipSize(survey);
  return {
    json: { kind: "checkpoint", components, madeFor, scheduler, preset, assumptions, problems },
    lines: [
      `${folder}: checkpoint of Stable Video Diffusion`,
      ...assumptions.map((assumption) => assumption.replace(`${folder}: `, "").replace(`${folder}/`, "")),
      ...componentLines(components),
      ...(madeFor
        ? ["", `made for ${countText(madeFor.numFrames, "frame")} of ${madeFor.width}x${madeFor.height}`]
        : []),
      ...listed("preset", preset),
      ...listed("scheduler", scheduler),
      "",
      ...problemLines(problems),
    ],
    problems,
    weightsFiles: [...new Set(survey.components.flatMap(filesOf))],
  };
}

function filesOf({ weightsFolder, tensors }: Component): string[] {
  return Array.from(tensors.values(), ({ file }) => join(weightsFolder, file));
}

/** A UNet in a file of its own. */
export function inspectUnet(file: WeightsFile): Inspection {
  const unetOnly = unetFileComponent(file);
  // A run takes these from the checkpoint. Here any number of heads will do, since no tensor depends on it.
  const config = { ...publishedUnetSize, num_attention_heads: 1, ...unetOnly.config };
  const problems = networksOf({ ...unetOnly, config });
  const components = [describeComponent(unetOnly)];
  const { num_frames: numFrames } = unetOnly.config;
  return {
    json: { kind: "unet", components, numFrames, problems },
    lines: [
      `${file.path}: UNet of Stable Video Diffusion, to give with --unet beside a checkpoint`,
      ...componentLines(components),
      ...(numFrames === undefined ? [] : ["", `made for ${countText(Number(numFrames), "frame")} by its name`]),
      "",
      ...problemLines(problems),
    ],
    problems,
  };
}

interface ComponentSummary {
  readonly name: string;
  readonly class: string;
  readonly tensors: number;
  readonly parameters: number;
  readonly sizeBytes: number;
  /** Tensors of each number format. */
  readonly dtypes: Readonly<Record<string, number>>;
}

function describeComponent({ name, config, tensors }: Component): ComponentSummary {
  const dtypes: Record<string, number> = {};
  let [parameters, sizeBytes] = [0, 0];
  for (const tensor of tensors.values()) {
    const format = tensor.scales
      ? `${tensor.dtype} with ${tensor.scales.length > 1 ? "scales" : "a scale"}`
      : tensor.dtype;
    dtypes[format] = (dtypes[format] ?? 0) + 1;
    parameters += elementCount(tensor.shape);
    sizeBytes += tensor.sizeBytes;
  }
  const className = Array.isArray(config.architectures) ? config.architectures[0] : config._class_name;
  return { name, class: String(className ?? "unnamed"), tensors: tensors.size, parameters, sizeBytes, dtypes };
}

/** What the configurations and the tensors of each part say, when it could be read at all. */
function deeperProblems({ components, schedulerConfig, preset }: CheckpointSurvey): string[] {
  return [
    ...components.flatMap((component) => networksOf(component)),
    ...problemsOf(() => schedulerConfig && void eulerDiscreteConfig(schedulerConfig)),
    ...problemsOf(() => preset && void parseSettings("preset.json", preset, "invalid-checkpoint")),
  ];
}

/** The problems of the component's networks, written at their smallest size, which has all tensors. */
function networksOf(component: Component): string[] {
  const check = (part: Component, network: () => Network) => {
    let found: string[] = [];
    const thrown = problemsOf(() => {
      found = tensorProblems(part, cpuLowerings.others, network());
    });
    return [...thrown, ...found];
  };
  const { name, config } = component;
  const size = (levels: number) => ({ frames: 1, height: 2 ** levels, width: 2 ** levels });
  switch (name) {
    case "image_encoder":
      return check(component, () => clipVision(clipVisionConfig(config)));
    case "unet":
      return unique([
        ...check(unetPart(component, "conditioning"), () => conditioning(unetConfig(config), { frames: 1 })),
        ...check(unetPart(component, "evaluation"), () => {
          const read = unetConfig(config);
          return unet(read, size(read.downLevels.length));
        }),
      ]);
    case "vae":
      return unique([
        ...check(vaeHalf(component, "encoder"), () => vaeEncoder(vaeConfig(config), { height: 64, width: 64 })),
        ...check(vaeHalf(component, "decoder"), () => vaeDecoder(vaeConfig(config), size(1))),
      ]);
  }
}

/** Problems without repetitions: two networks of one component share a configuration and its problems. */
function unique(problems: readonly string[]): string[] {
  return [...new Set(problems)];
}

function problemsOf(read: () => void): string[] {
  try {
    read();
    return [];
  } catch (error) {
    if (!(error instanceof StillmotionError) || error.code === "internal") throw error;
    return [error.message];
  }
}

function clipSize({ components, preset }: CheckpointSurvey): ReturnType<typeof trainedSize> | undefined {
  const configOf = (name: Component["name"]) => components.find((component) => component.name === name)?.config;
  try {
    const trained = trainedSize({ unet: unetConfig(configOf("unet")), vae: vaeConfig(configOf("vae")) });
    const { width, height, numFrames } = {
      ...trained,
      ...parseSettings("preset.json", preset ?? {}, "invalid-checkpoint"),
    };
    return { width: width!, height: height!, numFrames: numFrames! };
  } catch {
    return undefined; // the reason is among the problems
  }
}

function componentLines(components: readonly ComponentSummary[]): string[] {
  const lines = components.flatMap(({ name, class: className, tensors, parameters, sizeBytes, dtypes }) => {
    const formats = Object.entries(dtypes).map(([dtype, count]) => (count === tensors ? dtype : `${dtype} (${count})`));
    const millions = `${(parameters / 1e6).toFixed(parameters < 1e8 ? 2 : 0)} M parameters`;
    return [
      `${name}: ${className}`,
      `  ${countText(tensors, "tensor")}, ${millions}, ${formats.join(", ")}, ${bytesText(sizeBytes)}`,
    ];
  });
  return lines.length === 0 ? [] : ["", ...lines];
}

function listed(title: string, config: JsonObject | undefined): string[] {
  const entries = Object.entries(config ?? {}).filter(([name, value]) => !name.startsWith("_") && value !== null);
  if (entries.length === 0) return [];
  const columns = Math.max(...entries.map(([name]) => name.length));
  return ["", `${title}:`, ...entries.map(([name, value]) => `  ${name.padEnd(columns)}  ${JSON.stringify(value)}`)];
}

function problemLines(problems: readonly string[]): string[] {
  if (problems.length === 0) return ["complete: every tensor is there and has its place"];
  const rest = problems.length - shownProblems;
  return [
    `${countText(problems.length, "problem")}:`,
    ...problems.slice(0, shownProblems).map((problem) => `  ${problem}`),
    ...(rest > 0 ? [`  and ${rest} more; --json lists all`] : []),
  ];
}
