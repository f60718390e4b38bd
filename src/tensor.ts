/** What is a tensor outside a graph? A dtype, a shape and a typed array in row-major order. */
import { StillmotionError } from "./errors.ts";

/**
 * Number formats that a tensor in memory may have, as torch names them. `float16` and `bfloat16` hold their bits in a
 * Uint16Array, `float8_e4m3fn` and `float8_e5m2` in a Uint8Array.
 */
export type DataType =
  | "float32"
  | "float16"
  | "bfloat16"
  | "float8_e4m3fn"
  | "float8_e5m2"
  | "int64"
  | "int32"
  | "int8"
  | "uint8"
  | "bool";

/** The formats that weights may be stored in. */
export const floatingPoint: readonly DataType[] = ["float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"];

/** Bytes of one element. */
export const bytesPerElement: Readonly<Record<DataType, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float8_e4m3fn: 1,
  float8_e5m2: 1,
  int64: 8,
  int32: 4,
  int8: 1,
  uint8: 1,
  bool: 1,
};

export type TensorData = Float32Array | Uint16Array | BigInt64Array | Int32Array | Int8Array | Uint8Array;

const arrays: Readonly<
  Record<DataType, new (buffer: ArrayBufferLike, byteOffset?: number, length?: number) => TensorData>
> = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  float8_e4m3fn: Uint8Array,
  float8_e5m2: Uint8Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

/** The values that a buffer holds, all of them unless some are asked for. */
export function typedArray(dtype: DataType, buffer: ArrayBufferLike, byteOffset?: number, length?: number): TensorData {
  return new arrays[dtype](buffer, byteOffset, length);
}

/** A copy of the bytes in a buffer of their own. A Node Buffer's `slice` would be a view on memory shared with others. */
export function ownBuffer({ buffer, byteOffset, byteLength }: ArrayBufferView): ArrayBuffer {
  return new Uint8Array(buffer, byteOffset, byteLength).slice().buffer;
}

/** The next multiple of a processor's cache line, at which another array may begin. */
export function aligned(sizeBytes: number): number {
  const lineBytes = 64;
  return Math.ceil(sizeBytes / lineBytes) * lineBytes;
}

/** Empties a buffer: its memory is given back now, not when the garbage collector comes to it. */
export function emptyBuffer(buffer: ArrayBuffer): void {
  buffer.transfer(0);
}

/** A dense tensor in row-major order. */
export interface Tensor<Data extends TensorData = TensorData> {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly data: Data;
}

/** A float32 tensor, the working format outside graphs. */
export interface FloatTensor extends Tensor<Float32Array> {
  readonly dtype: "float32";
}

/** Product of the sizes; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** A float32 tensor over `data`, or zeros. Throws when the length does not fit the shape. */
export function floatTensor(
  shape: readonly number[],
  data: Float32Array = new Float32Array(elementCount(shape)),
): FloatTensor {
  if (data.length !== elementCount(shape)) {
    throw new StillmotionError("internal", `tensor: ${data.length} values do not fill shape [${shape.join(", ")}]`);
  }
  return { dtype: "float32", shape, data };
}

/** The same values in memory of their own. */
export function copyTensor({ shape, data }: FloatTensor): FloatTensor {
  return floatTensor([...shape], data.slice());
}

/** True for a float32 tensor whose data fills its shape. */
export function isFloatTensor(value: unknown): value is FloatTensor {
  if (typeof value !== "object" || value === null || !("shape" in value) || !("data" in value)) return false;
  const { shape, data } = value;
  return data instanceof Float32Array && Array.isArray(shape) && data.length === elementCount(shape);
}

/** True when both shapes have the same sizes in the same order. */
export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}
