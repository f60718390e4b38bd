/** Which options does loading a model take? One schema gives their types, limits, defaults and help to every door. */
import { z } from "zod";
import { inCall, joined, type Message, message, option, StillmotionError } from "../errors.ts";
import type { HubOptions } from "../hub/hub-options.ts";
import { type Dtype, dtypes, type WeightStorage, weightStorages } from "../lowering/lowerings.ts";
import type { ProgressEvent } from "../pipeline/progress.ts";
import { prices } from "./generate-options.ts";
import type { LoraSource } from "./loras.ts";
import { show } from "./parse-settings.ts";
import { type PresetName, presetNames } from "./presets.ts";

const offloads = ["model", "none"] as const;

/**
 * `model`: each network is in memory only while it runs. `none`: a network stays loaded between calls.
 * @useDeclaredType
 */
export type Offload = (typeof offloads)[number];

/** What holds where an option is left out; `auto` is what the device, or the checkpoint, does best. */
export const loadDefaults = { dtype: "auto", weightStorage: "auto", device: "auto", offload: "model" } as const;

/** Options of `fromPretrained`; see {@link loadDefaults} for what is taken instead. */
export interface FromPretrainedOptions {
  /** Files to read where a checkpoint has several: `fp16` takes `*.fp16.safetensors`. */
  readonly variant?: string | undefined;
  /**
   * Arithmetic of the UNet, whatever format its weights are stored in: `fp32`, which `auto` chooses, or `int8`, which is
   * faster, takes less memory, and makes a clip about as near to fp32's as bf16 does.
   * The other networks run in fp32.
   */
  readonly dtype?: "auto" | Dtype | undefined;
  /**
   * What the UNet's weights are in memory. `stored`: mapped from their files, and brought to fp32 each time that they are used
   * where the files hold fp16, bf16 or fp8. `fp32`: all brought to fp32 at the start, for somewhat faster steps and twice the
   * memory of fp16; the clip is the same. `int8`, with a scale for each output: half the memory of fp16, and another clip.
   * `auto` is `stored` for dtype fp32; for dtype int8 it is always `int8`.
   */
  readonly weightStorage?: "auto" | WeightStorage | undefined;
  /** Where graphs run: `cpu`, which `auto` chooses. */
  readonly device?: string | undefined;
  /** Threads that one operator may use. Left out: as many as the machine runs at once. */
  readonly threads?: number | undefined;
  /** The ONNX Runtime library to use. Left out: the one that is installed with stillmotion. */
  readonly libraryPath?: string | undefined;
  /**
   * Where decoding sets numbers aside when `decodeChunkSize` is less than all frames: files that vanish with the run.
   * Left out: the system's folder for temporary files.
   */
  readonly scratchFolder?: string | undefined;
  /** A `.safetensors` file whose UNet takes the place of the checkpoint's, such as one of AnimateLCM. */
  readonly unet?: string | undefined;
  /**
   * LoRAs that are added to the UNet's weights, several at once if need be.
   *
   * @example
   * loras: [{ path: "pan-left.safetensors", strength: 0.8 }, { path: "./peft-lora" }]
   */
  readonly loras?: readonly LoraSource[] | undefined;
  /** How a model that is named, not given as a path, is downloaded: `revision`, `token`, `localFilesOnly` ... */
  readonly hub?: HubOptions | undefined;
  /**
   * What takes the place of settings that a call leaves out: the `official` ones of a published checkpoint or of its
   * `preset.json`, or those of the reference's call. Left out: `official` where there are any, else `diffusers`.
   */
  readonly preset?: PresetName | undefined;
  /**
   * When a network's memory is given back. `model`: after its stage, so that a call takes the memory of its largest network.
   * `none`: networks stay loaded for the next call of the same size, which starts at once, until the pipeline is disposed of;
   * for another size they are loaded anew. The clip is the same.
   */
  readonly offload?: Offload | undefined;
  /** Hears of each network that is loaded, run and released. */
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined;
}

/** What a door other than the library needs to show an option; without a flag the option is none of the command line's. */
export interface LoadPresentation {
  /** As the command line takes it: `--variant <name>`. */
  readonly flag: string;
  readonly help: string;
  /** What holds when the option is not given. Absent where help says it, or nothing does. */
  readonly otherwise?: string;
  /** Where the flag may be given several times. */
  readonly isRepeated?: true;
}

const presentations = z.registry<LoadPresentation>();

type AnyFunction = (...values: never[]) => unknown;
const aFunction = <Type extends AnyFunction>() =>
  z.custom<Type>((value) => typeof value === "function").describe("a function");
const text = () => z.string().min(1).describe("text");

/** Every option of the hub's part. */
const hubSchema = z
  .strictObject({
    revision: text().register(presentations, {
      flag: "--revision <name>",
      help: "of a model of the hub: a branch, a tag or a commit",
      otherwise: "main",
    }),
    localFilesOnly: z.boolean().describe("true or false").register(presentations, {
      flag: "--local-files-only",
      help: "download no model; use what is in the cache",
    }),
    endpoint: text(),
    token: text(),
    cacheFolder: text(),
    signal: z.instanceof(AbortSignal).describe("an AbortSignal"),
    onProgress: aFunction<NonNullable<HubOptions["onProgress"]>>(),
    fetch: aFunction<typeof globalThis.fetch>(),
    retryDelayMs: z.number().min(0).describe("milliseconds"),
    stallTimeoutMs: z.number().min(0).describe("milliseconds"),
  } satisfies { readonly [Name in keyof Required<HubOptions>]: z.ZodType<HubOptions[Name]> })
  .partial();

/** Every option of loading, each with its limits. None is required. */
export const loadSchema = z
  .strictObject({
    variant: text().register(presentations, {
      flag: "--variant <name>",
      help: "read *.NAME.safetensors where there are several, e.g. fp16",
    }),
    dtype: z.enum([loadDefaults.dtype, ...dtypes]).register(presentations, {
      flag: "--dtype <type>",
      help: `arithmetic of the UNet: ${[loadDefaults.dtype, ...dtypes].join(", ")}; int8 takes less memory; price: ${prices.int8}`,
      otherwise: `${loadDefaults.dtype}, which is fp32`,
    }),
    weightStorage: z.enum([loadDefaults.weightStorage, ...weightStorages]).register(presentations, {
      flag: "--weight-storage <format>",
      help:
        `what the UNet's weights are in memory: ${[loadDefaults.weightStorage, ...weightStorages].join(", ")}; ` +
        "stored: mapped from their files; fp32: the same clip, faster steps, twice the memory of fp16; " +
        `int8: half of fp16, ${prices.int8Weights}`,
      otherwise: `${loadDefaults.weightStorage}, which is stored, or int8 with --dtype int8`,
    }),
    /** A name of the platform's table of devices. */
    device: text().register(presentations, {
      flag: "--device <name>",
      help: "where graphs run",
      otherwise: loadDefaults.device,
    }),
    threads: z.int().min(1).describe("a whole number of at least 1").register(presentations, {
      flag: "--threads <n>",
      help: "threads for one operator",
      otherwise: "as many as the machine runs at once",
    }),
    libraryPath: text(),
    scratchFolder: text().register(presentations, {
      flag: "--scratch-folder <folder>",
      help: "for what decoding sets aside",
      otherwise: "the system's folder for temporary files",
    }),
    unet: text().register(presentations, {
      flag: "--unet <file>",
      help: "take the UNet from this .safetensors file, e.g. AnimateLCM's",
    }),
    /** Looked at by the part that reads them. */
    loras: z.custom<readonly LoraSource[]>().register(presentations, {
      flag: "--lora <path[:strength]>",
      help: "add a LoRA to the model, a file or the folder that PEFT wrote, e.g. pan-left.safetensors:0.8; may be given several times",
      isRepeated: true,
    }),
    preset: z.enum(presetNames).register(presentations, {
      flag: "--preset <name>",
      help: `settings where none are given: ${presetNames.join(" or ")}`,
      otherwise: "official, if known",
    }),
    hub: hubSchema,
    offload: z.enum(offloads).register(presentations, {
      flag: "--offload <when>",
      help: "model: a network is in memory only while it runs; none: it stays loaded to the end",
      otherwise: loadDefaults.offload,
    }),
    onProgress: aFunction<NonNullable<FromPretrainedOptions["onProgress"]>>(),
  } satisfies { readonly [Name in keyof Required<FromPretrainedOptions>]: z.ZodType<FromPretrainedOptions[Name]> })
  .partial();

/** What has a flag, in the order in which it is shown; those of the hub's part behind the others' of the model. */
export function loadPresentations(): ReadonlyMap<string, LoadPresentation> {
  const { variant, preset, unet, loras, dtype, weightStorage, device, offload, ...machine } = loadSchema.shape;
  const ofModel = { variant, preset, unet, loras, ...hubSchema.shape };
  const options = Object.entries({ ...ofModel, dtype, weightStorage, device, offload, ...machine });
  return new Map(
    options.flatMap(([name, schema]) => {
      const presentation = presentations.get(schema.unwrap());
      return presentation ? [[name, presentation] as const] : [];
    }),
  );
}

/** What a device may not have, so that its own table says what it has instead. */
const ofDevices = ["dtype", "weightStorage"];

/**
 * Checks options given by a caller.
 *
 * @param where starts each message, e.g. `fromPretrained`
 * @throws StillmotionError `invalid-option`, naming the option, what was got and what was expected
 */
export function checkLoadOptions(where: string, given: object): FromPretrainedOptions {
  const result = loadSchema.safeParse(given);
  const issues = (result.error?.issues ?? []).filter(({ path }) => !ofDevices.includes(String(path[0])));
  if (issues.length === 0) return given;
  const messages = issues.map((issue) => message`${inCall(where)}${describeIssue(issue, given)}`);
  throw new StillmotionError("invalid-option", joined(messages, "\n"));
}

function describeIssue(issue: z.core.$ZodIssue, given: object): Message {
  const inHub = issue.path[0] === "hub" && (issue.path.length > 1 || issue.code === "unrecognized_keys");
  const shape: Readonly<Record<string, z.ZodOptional>> = inHub ? hubSchema.shape : loadSchema.shape;
  const values = (inHub ? (given as FromPretrainedOptions).hub : given) as Readonly<Record<string, unknown>>;
  const prefix = inHub ? "hub." : "";
  if (issue.code === "unrecognized_keys") {
    const names = issue.keys.map((key) => message`${prefix}${option(key)} is not an option`);
    return message`${joined(names, "; ")}; the options are ${Object.keys(shape).join(", ")}`;
  }
  const name = String(issue.path[inHub ? 1 : 0]);
  const schema = shape[name]!.unwrap() as z.ZodType & { options?: readonly string[] };
  const expected = schema.options?.join(" or ") ?? schema.description ?? "an object";
  return message`${prefix}${option(name)} is ${show(values[name])}, expected ${expected}`;
}
