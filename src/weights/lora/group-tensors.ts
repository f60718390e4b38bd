/** Which tensors of a file belong together? Each layer's two halves and its alpha, by their names alone. */
import type { SafetensorsEntry, SafetensorsHeader } from "../safetensors/safetensors-header.ts";
import { readTensorName, type Spelling } from "./tensor-names.ts";

/** The tensors of one layer, any of which may be missing. */
export interface LayerTensors {
  readonly network: string;
  readonly layer: string;
  readonly spelling: Spelling;
  down?: SafetensorsEntry;
  up?: SafetensorsEntry;
  alpha?: SafetensorsEntry;
}

export interface GroupedTensors {
  readonly layers: readonly LayerTensors[];
  /** Names that no tensor of a LoRA has. */
  readonly others: readonly string[];
  /** Pairs of names for the same part of the same layer. */
  readonly doubles: readonly (readonly [string, string])[];
}

export function groupTensors({ entries }: Pick<SafetensorsHeader, "entries">): GroupedTensors {
  const layers = new Map<string, LayerTensors>();
  const others: string[] = [];
  const doubles: [string, string][] = [];
  for (const entry of entries.values()) {
    const named = readTensorName(entry.name);
    if (!named) {
      others.push(entry.name);
      continue;
    }
    const { network, layer, spelling, part } = named;
    const key = `${network} ${layer}`;
    const tensors = layers.get(key) ?? { network, layer, spelling };
    layers.set(key, tensors);
    const earlier = tensors[part];
    if (earlier) doubles.push([earlier.name, entry.name]);
    tensors[part] = entry;
  }
  return { layers: [...layers.values()], others, doubles };
}

/** True when the file has at least one pair of halves. */
export function hasPair({ layers }: GroupedTensors): boolean {
  return layers.some(({ down, up }) => down && up);
}
