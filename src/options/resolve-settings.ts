/** Which settings are in force for a call? The caller's, else the preset's, else the checkpoint's and the defaults. */
import { byteSizeForms, bytesFromText } from "../byte-sizes.ts";
import { inCall, type Message, message, option, StillmotionError } from "../errors.ts";
import type { OnStep } from "../pipeline/denoise-step.ts";
import { randomSeed } from "../random/generator.ts";
import type { FloatTensor } from "../tensor.ts";
import { type GenerateSettings, generateDefaults, type OptionName } from "./generate-options.ts";
import { camelCaseKeys, parseSettings, show } from "./parse-settings.ts";
import { checkSampling, presetForScheduler } from "./sampling-settings.ts";

type Optional = "guidanceInterval" | "sigmas" | "numInferenceSteps" | "sChurn" | "sTmin" | "sTmax" | "sNoise";

/**
 * Every option in force. With a list of `sigmas`, the number of steps follows from them; without a `guidanceInterval` all
 * noise levels are guided.
 * @interface
 */
export type Settings = {
  readonly [Name in Exclude<OptionName, Optional | "latents">]: NonNullable<GenerateSettings[Name]>;
} & Pick<GenerateSettings, Optional>;

type SnakeCase<Name extends string> = Name extends `${infer Head}${infer Tail}`
  ? `${Head extends Lowercase<Head> ? Head : `_${Lowercase<Head>}`}${SnakeCase<Tail>}`
  : Name;

/**
 * The same options in the spelling of Python's call, whose None is null.
 * @interface
 */
export type PythonSpelling = {
  readonly [Name in OptionName as SnakeCase<Name> extends Name ? never : SnakeCase<Name>]?:
    | GenerateSettings[Name]
    | null;
} & { readonly output_type?: "pil" | "np" | "pt" | "latent" | null | undefined };

/** What `generate` gives: `images` are 8-bit pictures, `floats` float32 tensors, `latents` skips decoding. */
export type OutputType = "images" | "floats" | "latents";

/** Our names and Python's. */
const outputTypes: Readonly<Record<string, OutputType>> = {
  images: "images",
  floats: "floats",
  latents: "latents",
  pil: "images",
  np: "floats",
  pt: "floats",
  latent: "latents",
};

/** What Python's call has and ours does otherwise: what to write instead. */
const elsewhere: Readonly<Record<string, Message>> = {
  generator: message`${option("seed")}: 42 takes the place of torch.manual_seed(42), a list of seeds that of a list of generators`,
  callbackOnStepEnd: message`${option("onStep")} receives { step, steps, sigma, timestep, latents } and may return other latents`,
  callbackOnStepEndTensorInputs: message`${option("onStep")} always receives the latents`,
  returnDict: "generate always gives an object with frames, latents and settings",
};

export interface ResolvedOptions {
  readonly settings: Settings;
  readonly latents: FloatTensor | undefined;
  readonly outputType: OutputType;
  readonly signal: AbortSignal | undefined;
  readonly onStep: OnStep | undefined;
  readonly maxMemoryBytes: number | undefined;
  /** What the caller gave of the settings. */
  readonly given: GenerateSettings;
}

/**
 * Puts together what is in force: the caller's options, else the checkpoint's preset, else {@link generateDefaults}.
 */
export function resolveSettings(
  given: Readonly<Record<string, unknown>>,
  checkpoint: Pick<Settings, "width" | "height" | "numFrames"> & { preset: GenerateSettings },
): ResolvedOptions {
  const { outputType = "images", signal, onStep, maxMemory, ...rest } = camelCaseKeys("generate", given);
  for (const [name, mend] of Object.entries(elsewhere)) {
    if (!(name in rest)) continue;
    throw new StillmotionError("invalid-option", message`${inCall("generate")}${option(name)} is Python's; ${mend}`);
  }
  const output = Object.hasOwn(outputTypes, String(outputType)) ? outputTypes[String(outputType)] : undefined;
  if (!output) throw wrongType("outputType", outputType, `one of ${Object.keys(outputTypes).join(", ")}`);
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw wrongType("signal", signal, "an AbortSignal");
  if (onStep !== undefined && typeof onStep !== "function") throw wrongType("onStep", onStep, "a function");

  const maxMemoryBytes = maxMemory === undefined ? undefined : bytesOf(maxMemory);
  const { latents, seed = randomSeed(), ...options } = parseSettings("generate", rest);
  const { preset: presetOfCheckpoint, ...trainedSize } = checkpoint;
  const preset = presetForScheduler(presetOfCheckpoint, options);
  const base = {
    ...generateDefaults,
    ...trainedSize,
    ...(preset as Partial<Settings>),
    ...(options as Partial<Settings>),
    seed,
  };
  // A list of sigmas and steps say the same thing: what the caller gives of them takes the place of the preset's.
  const isReplaced = Array.isArray(preset.sigmas) && options.numInferenceSteps !== undefined;
  const sigmas = options.sigmas ?? (isReplaced ? undefined : preset.sigmas);
  const numInferenceSteps = Array.isArray(sigmas) ? options.numInferenceSteps : base.numInferenceSteps;
  const decodeChunkSize = Math.min(base.decodeChunkSize ?? defaultChunkSize(base), base.numFrames);
  // A copy: lists of the preset are not the caller's to change.
  const settings: Settings = structuredClone({ ...base, sigmas, numInferenceSteps, decodeChunkSize });
  checkSampling(settings);
  return {
    settings,
    latents,
    outputType: output,
    signal,
    onStep: onStep as OnStep | undefined,
    maxMemoryBytes,
    given: options,
  };
}

/** A clip of so many pixels is decoded at once, in 3 GB at most with SVD's decoder. */
const clipPixels = 2 ** 19;
/** Frames of a larger one, at a time: windows of any size take about as long, and small ones less memory. */
const windowPixels = 2 ** 18;

function defaultChunkSize({ decodeMode, width, height, numFrames }: Omit<Settings, "decodeChunkSize">): number {
  const pixels = width * height;
  if (decodeMode === "reference" || numFrames * pixels <= clipPixels) return numFrames;
  return Math.max(1, Math.floor(windowPixels / pixels));
}

function bytesOf(maxMemory: unknown): number {
  const bytes = bytesFromText(String(maxMemory));
  if (bytes === undefined) throw wrongType("maxMemory", maxMemory, byteSizeForms);
  return bytes;
}

function wrongType(name: string, got: unknown, expected: string): StillmotionError {
  const problem = message`${inCall("generate")}${option(name)} is ${show(got)}, expected ${expected}`;
  return new StillmotionError("invalid-option", problem);
}
