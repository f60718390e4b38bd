/** Which alpha does a file's metadata give a layer? diffusers writes the adapter's configuration as JSON there. */
import { StillmotionError } from "../../errors.ts";
import { parseJsonObject } from "../json-reader.ts";
import { printable } from "../printable.ts";

/** The metadata key of diffusers 0.42.1 loaders/lora_base.py `LORA_ADAPTER_METADATA_KEY`. */
const metadataKey = "lora_adapter_metadata";

type ScaleOf = (layer: string, rank: number) => number | undefined;

/**
 * The scale that the adapter's configuration gives a layer of this rank, PEFT's `LoraConfig`: `lora_alpha`, or what
 * `alpha_pattern` says of the layer, divided by the rank, or with `use_rslora` by its root.
 *
 * @param where the file, for messages
 * @returns a function that gives undefined where the file has no such metadata
 */
export function scaleFromMetadata(metadata: Readonly<Record<string, string>>, where: string): ScaleOf {
  const text = Object.hasOwn(metadata, metadataKey) ? metadata[metadataKey] : undefined;
  if (text === undefined) return () => undefined;
  const all = parseObject(text, where);
  const option = (name: string): unknown => [`unet.${name}`, name].map((key) => own(all, key)).find((v) => v != null);

  const alpha = option("lora_alpha");
  const pattern = option("alpha_pattern") ?? {};
  const patternAlphas = typeof pattern === "object" ? Object.entries(pattern) : [];
  if (option("use_dora") === true) throw new StillmotionError("unsupported", `${where}: is a DoRA, which is not read`);
  for (const value of [alpha, ...patternAlphas.map(([, each]) => each)]) {
    if (value !== undefined && !Number.isFinite(value)) refuse(where, `gives the alpha ${printable(String(value))}`);
  }
  const alphaBySuffix = new Map<string, { order: number; alpha: number }>();
  for (const [order, [key, value]] of patternAlphas.entries()) {
    const suffix = suffixOf(key, where);
    if (!alphaBySuffix.has(suffix)) alphaBySuffix.set(suffix, { order, alpha: value as number });
  }
  return (layer, rank) => {
    const matches = suffixesOf(layer).flatMap((suffix) => alphaBySuffix.get(suffix) ?? []);
    const first = matches.sort((a, b) => a.order - b.order)[0]; // as PEFT takes it
    const layerAlpha = first ? first.alpha : (alpha as number | undefined);
    return layerAlpha === undefined ? undefined : layerAlpha / (option("use_rslora") === true ? Math.sqrt(rank) : rank);
  };
}

/** "a.b.c" ends with "a.b.c", "b.c" and "c". */
function suffixesOf(path: string): string[] {
  const steps = path.split(".");
  return steps.map((_, index) => steps.slice(index).join("."));
}

/** PEFT reads the keys as regular expressions for the end of a path; those in use are paths. */
function suffixOf(key: string, where: string): string {
  const suffix = key.replace(/^\^/, "").replace(/\$$/, "").replaceAll("\\.", ".");
  if (/^[\w.]+$/.test(suffix)) return suffix;
  const problem = `${where}: alpha_pattern in its metadata has the regular expression ${printable(key)}; only layer paths are read`;
  throw new StillmotionError("unsupported", problem);
}

/** V8 13.6 has a `JSON.parse` that confuses names with escapes, which the keys of `alpha_pattern` have. */
function parseObject(text: string, where: string): Record<string, unknown> {
  return parseJsonObject(new TextEncoder().encode(text), `${where}: its metadata ${metadataKey}`);
}

function own(object: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function refuse(where: string, problem: string): never {
  throw new StillmotionError("invalid-checkpoint", `${where}: its metadata ${metadataKey} ${problem}`);
}
