/**
 * What does a session compute with in place of a stored weight? fp32, with what LoRAs add; for a product of bytes then int8 with a
 * scale for each output. It is worked out before the session starts, by the graphs of preparation-graphs.ts.
 */
import { floatsOf } from "../floats.ts";
import { type DataType, elementCount, type Tensor } from "../tensor.ts";

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

/** A weight and the initializers that are made of it. */
export type PreparedWeight = FloatWeight | Int8Weight;

/** A weight that is worked out as float32. */
export interface FloatWeight {
  readonly kind: "float32";
  readonly source: StoredWeight;
  /** The initializer that gets the values, in the shape of the weight. */
  readonly values: string;
}

/** A weight that is worked out as int8, with a scale for each output. */
export interface Int8Weight {
  /** Whether the values are a `matrix` (taps * inputs, outputs), the kernel's taps one after the other, or in the weight's own shape. */
  readonly kind: "int8 matrix" | "int8 rows";
  readonly source: StoredWeight;
  /** Of a matrix: for each of its taps, those of the kernel that are summed. Default: the kernel's own. */
  readonly tapSums?: TapSums | undefined;
  /** The initializer that gets the values as int8. */
  readonly bytes: string;
  /** The initializer that gets the scale of each output. */
  readonly scales: string;
}

/** (taps * inputs, outputs). */
export function int8MatrixShape({ source, tapSums }: Pick<Int8Weight, "source" | "tapSums">): [number, number] {
  const [outputs, inputs = 1, ...kernel] = source.shape as [number, ...number[]];
  return [(tapSums ? tapSums.length : elementCount(kernel)) * inputs, outputs];
}

/** Numbers of taps, row by row, that together are one tap. */
export type TapSums = readonly (readonly number[])[];

/** What is done with the stored rows of a weight. */
export interface Conversion {
  /** The same for weights that one graph can convert. */
  readonly name: string;
  readonly from: DataType;
  readonly to: "float32" | "int8";
  readonly isScaled: boolean;
  /** Whether LoRAs change the weight. */
  readonly isAddedTo: boolean;
  /** Of a kernel of so many taps. */
  readonly summed?: { readonly taps: number; readonly tapSums: TapSums };
}

export function conversionOf(weight: PreparedWeight): Conversion {
  const { kind, source } = weight;
  const from = source.dtype;
  const to = kind === "float32" ? kind : "int8";
  const isScaled = source.scales !== undefined;
  const isAddedTo = (source.additions ?? []).length > 0;
  const tapSums = tapSumsOf(weight);
  const summed = tapSums && { taps: elementCount(source.shape.slice(2)), tapSums };
  const more = `${isScaled ? " with scales" : ""}${isAddedTo ? " and a product" : ""}`;
  const name = `${from}${more} to ${to}${tapsText(tapSums)}`;
  return { name, from, to, isScaled, isAddedTo, ...(summed && { summed }) };
}

/** For names of what is made with such sums. */
export function tapsText(tapSums: TapSums | undefined): string {
  return tapSums ? ` of taps ${tapSums.map((taps) => taps.join("+")).join(" ")}` : "";
}

/** What the checkpoint calls the weight: the initializers that are made of it are named after it. */
export function nameOf(weight: PreparedWeight): string {
  const made = weight.kind === "float32" ? weight.values : weight.bytes;
  return made.replace(/:(float32|int8 (matrix|rows))[^:]*$/, "");
}

export function tapSumsOf(weight: PreparedWeight): TapSums | undefined {
  return weight.kind === "float32" ? undefined : weight.tapSums;
}

/**
 * From int8 (outputs, inputs, taps) to a matrix, by name. ONNX Runtime is quick where one axis moves: two such are 20 times as
 * fast as both in one.
 */
export const transpositions = {
  tapsFirst: [0, 2, 1],
  outputsLast: [1, 0],
} as const;

/** Of all that LoRAs add to a weight, as one product `up` x `down` (Hu et al. 2021, "LoRA", section 4.1). */
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
