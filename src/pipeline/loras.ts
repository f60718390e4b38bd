/** Which LoRAs does a run use? What a caller may give for them, and what is read of it. */
import { StillmotionError } from "../errors.ts";
import type { LoraInUse } from "../weights/lora/lora.ts";
import { parseLora } from "../weights/lora/parse-lora.ts";
import { numberFromText } from "./option-text.ts";
import { show } from "./parse-settings.ts";

/** A LoRA to add to the UNet: a `.safetensors` file, or its bytes. */
export type LoraSource = (
  | { readonly path: string }
  | { readonly bytes: Uint8Array; readonly name?: string | undefined }
) & {
  /** How much of it is added: 1 as it was trained (the default), 0 nothing, below 0 its opposite. */
  readonly strength?: number | undefined;
};

/**
 * A LoRA as text: `pan-left.safetensors` or `pan-left.safetensors:0.8`. A drive letter is no path of its own, and a
 * colon that no number follows belongs to the path.
 *
 * @throws StillmotionError `invalid-option` when what follows the last colon can be neither
 */
export function loraFromText(text: string): { path: string; strength?: number } {
  const [, path, tail] = /^(.+):([^:]*)$/s.exec(text) ?? [];
  if (path === undefined || tail === undefined) return { path: text };
  const strength = numberFromText(tail);
  if (typeof strength === "number") return { path, strength };
  if (/[./\\]/.test(tail)) return { path: text };
  throw new StillmotionError(
    "invalid-option",
    `loras: the strength in ${show(text)} is ${show(tail)}, expected a number, as in ${path}:0.8`,
  );
}

/** The list with bytes of its own, for what is read later. What is wrong in it stays so. */
export function copyLoras(loras: readonly LoraSource[] | undefined): readonly LoraSource[] | undefined {
  if (!Array.isArray(loras)) return loras;
  return (loras as readonly LoraSource[]).map((source) => {
    if (typeof source !== "object" || source === null) return source;
    const isBytes = "bytes" in source && source.bytes instanceof Uint8Array;
    return isBytes ? { ...source, bytes: new Uint8Array(source.bytes) } : { ...source };
  });
}

/**
 * LoRAs with their strengths, in the order given.
 *
 * @throws StillmotionError `invalid-option` when `loras` is not what {@link LoraSource} says; `invalid-checkpoint` or
 *   `unsupported` when a file is no LoRA
 */
export async function readLoras(loras: readonly LoraSource[]): Promise<readonly LoraInUse[]> {
  if (!Array.isArray(loras)) {
    throw new StillmotionError("invalid-option", `fromPretrained: loras is ${show(loras)}, expected a list`);
  }
  const strengths = loras.map(checkSource);
  const inUse = [];
  for (const [index, source] of (loras as readonly LoraSource[]).entries()) {
    inUse.push({ lora: await open(source, index), strength: strengths[index]! });
  }
  return inUse;
}

async function open(source: LoraSource, index: number) {
  if ("bytes" in source) return parseLora(source.bytes, source.name ?? `loras[${index}]`);
  const { readLora } = await import("../weights/lora/read-lora.ts");
  return readLora(source.path);
}

/** The strength of a source that is one. */
function checkSource(source: unknown, index: number): number {
  const where = `fromPretrained: loras[${index}]`;
  if (typeof source !== "object" || source === null) {
    throw new StillmotionError("invalid-option", `${where} is ${show(source)}, expected { path } or { bytes }`);
  }
  const { path, bytes, strength = 1 } = source as { path?: unknown; bytes?: unknown; strength?: unknown };
  if (typeof path === "string" ? bytes !== undefined : !(bytes instanceof Uint8Array) || path !== undefined) {
    const got = `path ${show(path)} and bytes ${bytes instanceof Uint8Array ? "given" : show(bytes)}`;
    throw new StillmotionError("invalid-option", `${where} has ${got}, expected a path, or the file's bytes`);
  }
  if (typeof strength !== "number" || !Number.isFinite(strength)) {
    throw new StillmotionError("invalid-option", `${where}.strength is ${show(strength)}, expected a number`);
  }
  return strength;
}
