/** How does a tensor of a single file become the one that the network reads? By name, rows, shape or a transposition; its bytes stay. */
import { StillmotionError } from "../../errors.ts";
import { printable } from "../../printable.ts";
import { elementCount } from "../../tensor.ts";
import type { WeightEntry } from "../types.ts";
import { scalesOfRows } from "../view.ts";

/** Tensors by name, which is that of the file or that of the network. */
export type Tensors = ReadonlyMap<string, WeightEntry>;

/** Tensors under the names that the network reads, from pairs of such a name and an entry. */
export function named(pairs: Iterable<readonly [string, WeightEntry]>): Tensors {
  const result = new Map<string, WeightEntry>();
  for (const [name, entry] of pairs) {
    if (result.has(name)) {
      throw new StillmotionError(
        "invalid-checkpoint",
        `${printable(entry.file)}: holds two tensors for ${printable(name)}; is it a merge gone wrong?`,
      );
    }
    result.set(name, { ...entry, name });
  }
  return result;
}

/** The weight of a 1x1 convolution, (out, in, 1, 1), as that of a linear layer; any other tensor as it is. */
export function asLinear(entry: WeightEntry): WeightEntry {
  const [outputs, inputs, height, width] = entry.shape;
  const isPointwise = entry.shape.length === 4 && height === 1 && width === 1;
  return isPointwise ? { ...entry, shape: [outputs!, inputs!] } : entry;
}

/** Part `index` of `parts` equal ones of the first axis; the tensor as it is when it cannot be cut so. */
export function rowsPart(entry: WeightEntry, index: number, parts: number): WeightEntry {
  const rows = (entry.shape[0] ?? 0) / parts;
  if (!Number.isInteger(rows) || elementCount(entry.shape) === 0) return entry;
  const sizeBytes = entry.sizeBytes / parts;
  const part = { ...entry, shape: entry.shape.with(0, rows), offset: entry.offset + index * sizeBytes, sizeBytes };
  const { scales } = entry;
  return scales ? { ...part, scales: scalesOfRows(scales, index * rows, (index + 1) * rows) } : part;
}

/** A matrix that the file holds with its axes exchanged. */
export function transposed(entry: WeightEntry): WeightEntry {
  return entry.shape.length === 2 ? { ...entry, shape: entry.shape.toReversed(), isTransposed: true } : entry;
}
