/** What is a LoRA file, for a person who asks? Told from its header, without a model to hold it against. */
import { StillmotionError } from "../../errors.ts";
import type { SafetensorsHeader } from "../safetensors/safetensors-header.ts";
import { groupTensors, hasPair } from "./group-tensors.ts";
import { looksLike } from "./looks-like.ts";
import { type ConfigBeside, outlineOf } from "./parse-lora.ts";
import type { Spelling } from "./tensor-names.ts";

export interface LoraDescription {
  readonly spellings: readonly Spelling[];
  /** Layers that it changes. */
  readonly layers: number;
  /** The ranks that occur, rising. */
  readonly ranks: readonly number[];
  /** The file's own names of the formats that occur, such as `F16`. */
  readonly dtypes: readonly string[];
  /** The networks that it changes: "unet", "text_encoder" ... */
  readonly networks: readonly string[];
  /** The model that it was probably made for. */
  readonly looksLike: string | undefined;
  /** What keeps it from being used with any checkpoint of Stable Video Diffusion. */
  readonly problem: string | undefined;
}

/** Undefined for a file that is no LoRA. */
export function describeLora(
  header: SafetensorsHeader,
  where: string,
  beside?: ConfigBeside,
): LoraDescription | undefined {
  const grouped = groupTensors(header);
  if (!hasPair(grouped)) return undefined;
  const { layers } = grouped;
  const distinct = <Value>(values: readonly Value[]) => [...new Set(values)];
  const likely = looksLike(layers);
  const notOurs = likely && !likely.isUsable ? `${where}: looks like a LoRA for ${likely.model}` : undefined;
  const ranks = layers.flatMap(({ down }) => down?.shape[0] ?? []);
  return {
    spellings: distinct(layers.map(({ spelling }) => spelling)),
    layers: layers.length,
    ranks: distinct(ranks).sort((a, b) => a - b),
    dtypes: distinct(layers.flatMap(({ down, up }) => [down, up].flatMap((entry) => entry?.dtype ?? []))),
    networks: distinct(layers.map(({ network }) => network)),
    looksLike: likely?.model,
    problem: loraProblem(header, where, beside) ?? notOurs,
  };
}

/** Why the file cannot be used as a LoRA, if so. */
export function loraProblem(
  header: SafetensorsHeader,
  where: string,
  beside: ConfigBeside | undefined,
): string | undefined {
  try {
    outlineOf(header, where, beside);
    return undefined;
  } catch (error) {
    if (error instanceof StillmotionError && error.code !== "internal") return error.message;
    throw error;
  }
}
