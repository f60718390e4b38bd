/**
 * What may a session compute with in place of a stored weight? One of a closed set of recipes, each with its facts: whoever writes,
 * places, splits or counts such a weight asks here. It is worked out before the session starts, by the graphs of
 * preparation-graphs.ts, and what LoRAs add is in it whichever the recipe.
 */
import { bytesPerElement, type DataType, elementCount } from "../tensor.ts";
import { rankOfAdditions, type StoredWeight } from "./stored-weight.ts";

/** An initializer that is made of a weight. */
export interface MadeTensor {
  readonly name: string;
  readonly dtype: "float32" | "int8";
  readonly shape: readonly number[];
}

interface Recipe {
  readonly source: StoredWeight;
  /** What the checkpoint calls the weight. */
  readonly name: string;
  /** What products read. */
  readonly values: MadeTensor;
  /** (outputs) Of int8: what the values of an output are multiplied by. */
  readonly scales?: MadeTensor | undefined;
  /** Of a kernel: for each of the taps that are made, those of the stored one that are summed. Absent: its own. */
  readonly tapSums?: TapSums | undefined;
}

/** In fp32, in the weight's own shape. */
export interface FloatWeight extends Recipe {
  readonly kind: "float32";
  readonly scales?: undefined;
  readonly tapSums?: undefined;
}

/** In int8 with a scale for each output, in the weight's own shape. */
export interface Int8Rows extends Recipe {
  readonly kind: "int8 rows";
  readonly scales: MadeTensor;
  readonly tapSums?: undefined;
}

/** The same as a matrix (taps * inputs, outputs), the kernel's taps one after the other. */
export interface Int8Matrix extends Recipe {
  readonly kind: "int8 matrix";
  readonly scales: MadeTensor;
}

/** A weight, the initializers that are made of it, and how. */
export type PreparedWeight = FloatWeight | Int8Rows | Int8Matrix;

/** Numbers of taps, row by row, that together are one tap. */
export type TapSums = readonly (readonly number[])[];

export function floatWeight(name: string, source: StoredWeight): FloatWeight {
  const kind = "float32";
  return { kind, name, source, values: { name: `${name}:${kind}`, dtype: "float32", shape: source.shape } };
}

export function int8Rows(name: string, source: StoredWeight): Int8Rows {
  const kind = "int8 rows";
  const values = { name: `${name}:${kind}`, dtype: "int8", shape: source.shape } as const;
  return { kind, name, source, values, scales: scalesOf(name, source) };
}

export function int8Matrix(name: string, source: StoredWeight, tapSums?: TapSums): Int8Matrix {
  const kind = "int8 matrix";
  const [outputs, inputs = 1, ...kernel] = source.shape as [number, ...number[]];
  const taps = tapSums?.length ?? elementCount(kernel);
  const summed = tapsText(tapSums);
  const values = { name: `${name}:${kind}${summed}`, dtype: "int8", shape: [taps * inputs, outputs] } as const;
  return { kind, name, source, values, scales: scalesOf(name, source, summed), ...(tapSums && { tapSums }) };
}

function scalesOf(name: string, { shape }: StoredWeight, summed = ""): MadeTensor {
  return { name: `${name}:scales${summed}`, dtype: "float32", shape: [shape[0]!] };
}

function tapsText(tapSums: TapSums | undefined): string {
  return tapSums ? ` of taps ${tapSums.map((taps) => taps.join("+")).join(" ")}` : "";
}

interface Facts {
  /** Whether sessions pack the values in a form of their own: while one is loaded they are in memory twice. */
  readonly isPacked: boolean;
  /** Whether the values lie with one column for each output. They are made with one row for each. */
  readonly areOutputsLast: boolean;
}

const facts: Readonly<Record<PreparedWeight["kind"], Facts>> = {
  float32: { isPacked: false, areOutputsLast: false },
  "int8 rows": { isPacked: false, areOutputsLast: false },
  "int8 matrix": { isPacked: true, areOutputsLast: true },
};

export function isPacked({ kind }: PreparedWeight): boolean {
  return facts[kind].isPacked;
}

/** The initializers that sessions pack. */
export function packedTensors(weights: readonly PreparedWeight[]): MadeTensor[] {
  return weights.filter(isPacked).map(({ values }) => values);
}

/** All initializers that are made of a weight. */
export function madeTensors({ values, scales }: PreparedWeight): MadeTensor[] {
  return scales ? [values, scales] : [values];
}

/** What a thread holds while it makes the weight: what LoRAs add, brought to fp32. What they hold themselves is shared. */
export function threadBytes({ source }: PreparedWeight): number {
  const outputs = source.shape[0]!;
  return rankOfAdditions(source) * (outputs + elementCount(source.shape) / outputs) * bytesPerElement.float32;
}

/** What is done with the stored rows of a weight, in this order. */
export interface Conversion {
  /** The same for weights that one graph can convert. */
  readonly name: string;
  readonly from: DataType;
  readonly isScaled: boolean;
  /** Whether LoRAs change the weight. */
  readonly isAddedTo: boolean;
  /** Of a kernel of so many taps. */
  readonly summed?: { readonly taps: number; readonly tapSums: TapSums };
  /** What the values become; int8 with scales. */
  readonly to: MadeTensor["dtype"];
}

export function conversionOf({ source, tapSums, values }: PreparedWeight): Conversion {
  const from = source.dtype;
  const to = values.dtype;
  const isScaled = source.scales !== undefined;
  const isAddedTo = (source.additions ?? []).length > 0;
  const summed = tapSums && { taps: elementCount(source.shape.slice(2)), tapSums };
  const more = `${isScaled ? " with scales" : ""}${isAddedTo ? " and a product" : ""}`;
  const name = `${from}${more} to ${to}${tapsText(tapSums)}`;
  return { name, from, to, isScaled, isAddedTo, ...(summed && { summed }) };
}

/**
 * From int8 (outputs, inputs, taps) to a matrix, by name. ONNX Runtime is quick where one axis moves: two such are 20 times as
 * fast as both in one.
 */
export const transpositions = {
  tapsFirst: [0, 2, 1],
  outputsLast: [1, 0],
} as const;

/** What brings converted rows to the form of the values. */
export function transpositionsOf({ kind, source, values }: PreparedWeight): readonly (keyof typeof transpositions)[] {
  if (!facts[kind].areOutputsLast) return [];
  const hasTaps = elementCount(values.shape) > source.shape[0]! * (source.shape[1] ?? 1);
  return hasTaps ? ["tapsFirst", "outputsLast"] : ["outputsLast"];
}
