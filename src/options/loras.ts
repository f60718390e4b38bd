/** Which LoRAs does a run use? What a caller may give for them, and what is read of it. */
import { inCall, message, option, StillmotionError, workFor } from "../errors.ts";
import { parseJsonObject } from "../json/json-reader.ts";
import type { FileSource } from "../weights/file-source.ts";
import type { Lora, LoraInUse } from "../weights/lora/lora.ts";
import { type ConfigBeside, parseLora } from "../weights/lora/parse-lora.ts";
import { readLora } from "../weights/lora/read-lora.ts";
import { numberFromText } from "./option-text.ts";
import { show } from "./parse-settings.ts";

/** A LoRA to add to the UNet: a `.safetensors` file, the folder that PEFT or diffusers wrote, or a file's bytes. */
export type LoraSource = (
  | { readonly path: string }
  | {
      readonly bytes: Uint8Array;
      /** For messages. */
      readonly name?: string | undefined;
      /**
       * What PEFT's `adapter_config.json` says, its text or the object: it holds the alpha, which is not among the bytes.
       * With a path it is read from beside the file.
       */
      readonly config?: string | Readonly<Record<string, unknown>> | undefined;
    }
) & {
  /** How much of it is added: 1 as it was trained (the default), 0 nothing, below 0 its opposite. */
  readonly strength?: number | undefined;
};

/**
 * A LoRA as text: `pan-left.safetensors` or `pan-left.safetensors:0.8`. A drive letter is no path of its own, and a
 * colon that no number follows belongs to the path.
 *
 * @param exists tells of the whole text whether it is a path that exists: then it is that path, whatever is in it
 * @throws StillmotionError `invalid-option` when what follows the last colon can be neither
 */
export function loraFromText(
  text: string,
  exists: (path: string) => boolean = () => false,
): { path: string; strength?: number } {
  if (exists(text)) return { path: text };
  const [, path, tail] = /^(.+):([^:]*)$/s.exec(text) ?? [];
  if (path === undefined || tail === undefined) return { path: text };
  const strength = numberFromText(tail);
  if (typeof strength === "number") return { path, strength };
  if (/[./\\]/.test(tail)) return { path: text };
  throw new StillmotionError(
    "invalid-option",
    message`${option("loras")}: the strength in ${show(text)} is ${show(tail)}, expected a number, as in ${path}:0.8`,
  );
}

/** The list with bytes of its own, for what is read later. What is wrong in it stays so. */
export function copyLoras(loras: readonly LoraSource[] | undefined): readonly LoraSource[] | undefined {
  if (!Array.isArray(loras)) return loras;
  return (loras as readonly LoraSource[]).map((source) => {
    if (typeof source !== "object" || source === null) return source;
    if (!("bytes" in source && source.bytes instanceof Uint8Array)) return { ...source };
    return { ...source, bytes: new Uint8Array(source.bytes), config: structuredClone(source.config) };
  });
}

/**
 * LoRAs with their strengths, in the order given.
 *
 * @param files where their paths are looked up
 * @throws StillmotionError `invalid-option` when `loras` is not what {@link LoraSource} says; `invalid-checkpoint` or
 *   `unsupported` when a file is no LoRA
 */
export async function readLoras(loras: readonly LoraSource[], files: FileSource): Promise<readonly LoraInUse[]> {
  if (!Array.isArray(loras)) {
    throw new StillmotionError("invalid-option", message`${lorasGiven} is ${show(loras)}, expected a list`);
  }
  const strengths = loras.map(checkSource);
  const inUse = [];
  for (const [index, source] of (loras as readonly LoraSource[]).entries()) {
    const lora = await workFor(lorasGiven, () => open(source, index, files));
    inUse.push({ lora, strength: strengths[index]! });
  }
  return inUse;
}

/** The option, in messages. */
export const lorasGiven = message`${inCall("fromPretrained")}${option("loras")}`;

async function open(source: LoraSource, index: number, files: FileSource): Promise<Lora> {
  if ("path" in source && source.path !== undefined) {
    return readLora(files, source.path);
  }
  const { bytes, name = `loras[${index}]`, config } = source as Extract<LoraSource, { bytes: Uint8Array }>;
  return parseLora(bytes, name, config === undefined ? undefined : configOf(config, `${name}: its config`));
}

function configOf(config: string | Readonly<Record<string, unknown>>, where: string): ConfigBeside {
  const members = typeof config === "string" ? parseJsonObject(new TextEncoder().encode(config), where) : config;
  return { members, where };
}

/** The strength of a source that is one. */
function checkSource(source: unknown, index: number): number {
  const where = message`${lorasGiven}[${index}]`;
  if (typeof source !== "object" || source === null) {
    throw new StillmotionError("invalid-option", message`${where} is ${show(source)}, expected { path } or { bytes }`);
  }
  const { path, bytes, config, strength = 1 } = source as Readonly<Record<string, unknown>>;
  if (typeof path === "string" ? bytes !== undefined : !(bytes instanceof Uint8Array) || path !== undefined) {
    const got = `path ${show(path)} and bytes ${bytes instanceof Uint8Array ? "given" : show(bytes)}`;
    throw new StillmotionError("invalid-option", message`${where} has ${got}, expected a path, or the file's bytes`);
  }
  const isConfig = typeof config === "string" || (typeof config === "object" && config !== null);
  if (config !== undefined && !(isConfig && path === undefined)) {
    const got = isConfig ? "a path and a config" : `the config ${show(config)}`;
    const expected = "expected the text or the object of adapter_config.json, beside bytes; of a path it is read";
    throw new StillmotionError("invalid-option", message`${where} has ${got}, ${expected}`);
  }
  if (typeof strength !== "number" || !Number.isFinite(strength)) {
    throw new StillmotionError("invalid-option", message`${where}.strength is ${show(strength)}, expected a number`);
  }
  return strength;
}
