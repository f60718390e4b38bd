/**
 * What must be known of an operator before a graph may use it? All of it is said where the operator is described; nothing has a
 * default, so that no plan counts an operator as nothing because somebody forgot it.
 */
import { bytesPerElement, type DataType, elementCount } from "../../tensor.ts";
import type { Signature } from "./dtype-rules.ts";

export type Attribute = number | string | readonly number[] | { readonly float: number };
export type Attributes = Readonly<Record<string, Attribute>>;

/** Attributes of an operator that has none. */
export type NoAttributes = Readonly<Record<never, Attribute>>;

export interface OperatorSet {
  readonly domain: string;
  readonly version: number;
}

/** ONNX's own operators: those of ONNX 1.16, which ONNX Runtime reads from 1.18 on. */
export const onnx: OperatorSet = { domain: "", version: 21 };
/** What ONNX Runtime contributes. */
export const microsoft: OperatorSet = { domain: "com.microsoft", version: 1 };

/** What it has for itself: maps in blocks of channels. */
export const channelBlocks: OperatorSet = { domain: "com.microsoft.nchwc", version: 1 };

/** Kinds of operators that multiply, each of a speed of its own. */
export const kindsOfWork = ["product", "convolution", "attention", "int8Product"] as const;
export type KindOfWork = (typeof kindsOfWork)[number];

export interface ValueType {
  readonly dtype: DataType;
  readonly shape: readonly number[];
}

/** A node, as an operator's facts are worked out for it. */
export interface NodeTypes<Given extends Attributes = Attributes> {
  /** An optional one that is absent is undefined. */
  readonly inputs: readonly (ValueType | undefined)[];
  readonly outputs: readonly ValueType[];
  readonly attributes: Given;
}

/** An operator. The function that writes it stands below its description, and works out the shape of its results. */
export interface Operator<Given extends Attributes = Attributes> extends Signature, Facts<Given> {
  readonly set: OperatorSet;
}

/** What plans of time and memory read. */
interface Facts<Given extends Attributes> {
  /** Multiplications that take longer than moving the bytes does. */
  readonly multiplies: "nothing" | { readonly kind: KindOfWork; count(node: NodeTypes<Given>): number };
  /** Which bytes it reads and writes. Weights are not counted among those that it reads. */
  readonly moves: "all" | "what it takes out" | "nothing";
  /**
   * Which buffer a result gets: one of its own; that of its first input, of which it is a view; or that of an input which the kernel
   * may overwrite, by its place (`MayInplace` of the kernel's definition, which sums and products do not have).
   */
  readonly buffer: "own" | "view" | { readonly overwrites: readonly number[] };
  /** Bytes that the kernel takes for itself while it runs. */
  readonly scratch: "none" | { bytes(node: NodeTypes<Given>): number };
}

/** Facts of operators that take as long as the bytes they read and write do. */
export const moving = {
  multiplies: "nothing",
  moves: "all",
  buffer: "own",
  scratch: "none",
} as const satisfies Facts<Attributes>;

/** The same, of those that read no more of their input than they write. */
export const takingOut = { ...moving, moves: "what it takes out" } as const satisfies Facts<Attributes>;

/** Facts of operators whose result is their input under another shape. */
export const viewing = { ...moving, moves: "nothing", buffer: "view" } as const satisfies Facts<Attributes>;

/** Facts of operators that take as long as their multiplications do. */
export function multiplying<Given extends Attributes>(
  kind: KindOfWork,
  count: (node: NodeTypes<Given>) => number,
): Facts<Given> {
  return { ...moving, multiplies: { kind, count } };
}

/** Numbers in the first result. */
export function resultCount({ outputs }: Pick<NodeTypes, "outputs">): number {
  return elementCount(outputs[0]!.shape);
}

export function sizeBytes({ dtype, shape }: ValueType): number {
  return elementCount(shape) * bytesPerElement[dtype];
}
