/** Where does a weight lie, and what do LoRAs add to it? A low-rank product for each (Hu et al. 2021, "LoRA", section 4.1). */
import { floatsOf } from "../floats.ts";
import type { DataType, Tensor } from "../tensor.ts";

/** A weight (outputs, inputs, ...kernel) in a file. */
export interface StoredWeight {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  /** Bare name of a file in the model's weights folder. */
  readonly file: string;
  readonly offset: number;
  /** What the stored numbers are multiplied by: one for all outputs, or one for each. */
  readonly scales?: Float32Array;
  /** `scale * (up x down)` with up (outputs, rank) and down (rank, elements of an output), which are added. The matrices lie in memory that threads share. */
  readonly additions?: readonly { readonly scale: number; readonly up: Tensor; readonly down: Tensor }[];
}

/** A weight that a graph reads from its file as it is. */
export type NamedWeight = StoredWeight & { readonly name: string };

/** Of all that LoRAs add to a weight, as one product `up` x `down`. */
export function rankOfAdditions({ additions = [] }: StoredWeight): number {
  return additions.reduce((sum, { up }) => sum + up.shape[1]!, 0);
}

/** Fills `target` with `down` (rank, elements of an output), those of all LoRAs below each other. */
export function fillDown({ additions = [] }: StoredWeight, target: Float32Array<ArrayBuffer>): void {
  let filled = 0;
  for (const { down } of additions) {
    target.set(floatsOf(down), filled);
    filled += down.data.length;
  }
}

/** Fills `target` with rows of `up` (outputs, rank), those of all LoRAs beside each other, each times its scale. */
export function fillUp(weight: StoredWeight, rows: { first: number; count: number }, target: Float32Array): void {
  const { first, count } = rows;
  const rank = rankOfAdditions(weight);
  let column = 0;
  for (const { scale, up } of weight.additions ?? []) {
    const ownRank = up.shape[1]!;
    const ups = floatsOf({ dtype: up.dtype, data: up.data.subarray(first * ownRank, (first + count) * ownRank) });
    for (let index = 0; index < ups.length; index++) {
      target[Math.floor(index / ownRank) * rank + column + (index % ownRank)] = scale * ups[index]!;
    }
    column += ownRank;
  }
}
