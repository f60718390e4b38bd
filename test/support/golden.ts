/** How does a test read golden data and compare with it? Golden files are .safetensors made by the scripts in reference/. */
import { basename, dirname, join } from "node:path";
import { expect } from "vitest";
import { bfloat16ToFloat32, float16ToFloat32 } from "../../src/half.ts";
import { readSafetensors, readSafetensorsHeader } from "../../src/node/weights.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../../src/tensor.ts";
import { dataTypeOf } from "../../src/weights/safetensors/safetensors-header.ts";
import type { WeightEntry } from "../../src/weights/types.ts";

/** What is allowed between a value and the reference's: relative to the largest expected magnitude, plus absolute. */
export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

export interface Golden {
  readonly path: string;
  /** What the reference's classes were given. */
  readonly config: Record<string, unknown>;
  /** What a case says of its variants. */
  readonly details: Record<string, unknown>;
  readonly tolerance: Tolerance;
  /** Names of the tensors that start with `prefix`. */
  names(prefix: string): string[];
  has(name: string): boolean;
  /** A tensor in float32. */
  tensor(name: string): FloatTensor;
}

export async function readGolden(...segments: string[]): Promise<Golden> {
  const path = join(import.meta.dirname, "..", ...segments);
  const { tensors, metadata } = await readSafetensors(path);
  return {
    path,
    config: JSON.parse(metadata.config ?? "{}"),
    details: JSON.parse(metadata.case ?? "{}"),
    tolerance: JSON.parse(metadata.tolerance ?? '{"relative":0,"absolute":0}'),
    names: (prefix) => Object.keys(tensors).filter((name) => name.startsWith(prefix)),
    has: (name) => name in tensors,
    tensor(name) {
      const tensor = tensors[name];
      if (!tensor) throw new Error(`${path} has no tensor ${name}; it has ${Object.keys(tensors).join(", ")}`);
      return toFloat32(tensor);
    },
  };
}

/** The golden file's own weights, left where they lie, as a component of a checkpoint. */
export async function goldenWeights(
  golden: Golden,
): Promise<{ name: "unet"; tensors: Map<string, WeightEntry>; weightsFolder: string }> {
  const { entries } = await readSafetensorsHeader(golden.path);
  const tensors = new Map<string, WeightEntry>();
  for (const [name, entry] of entries) {
    if (!name.startsWith("weights.")) continue;
    const ownName = name.slice("weights.".length);
    const { offset, shape, sizeBytes } = entry;
    const dtype = dataTypeOf(entry, golden.path);
    tensors.set(ownName, { name: ownName, dtype, shape, file: basename(golden.path), offset, sizeBytes });
  }
  return { name: "unet", tensors, weightsFolder: dirname(golden.path) };
}

/** Fails with the largest and the mean difference, and where the largest is. */
export function expectClose(actual: Tensor, expected: FloatTensor, tolerance: Tolerance, what = "result"): void {
  expect(actual.shape, `shape of ${what}`).toEqual(expected.shape);
  const values = actual.data as Float32Array;
  let largest = 0;
  let at = 0;
  let sum = 0;
  let magnitude = 0;
  for (const [index, value] of expected.data.entries()) {
    const difference = Math.abs(values[index]! - value);
    // A NaN is never close.
    if (!(difference <= largest)) {
      largest = difference;
      at = index;
    }
    sum += difference;
    magnitude = Math.max(magnitude, Math.abs(value));
  }
  const limit = tolerance.relative * magnitude + tolerance.absolute;
  expect(
    largest <= limit,
    `${what}: largest difference ${largest} at ${at} (${values[at]}, expected ${expected.data[at]}), mean ${sum / values.length}, allowed ${limit}`,
  ).toBe(true);
}

/** The tensor with its axes in another order. */
export function permuted(tensor: FloatTensor, order: readonly number[]): FloatTensor {
  const shape = order.map((axis) => tensor.shape[axis]!);
  const strides = tensor.shape.map((_, axis) => tensor.shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const result = floatTensor(shape);
  const position = new Array<number>(shape.length).fill(0);
  for (let index = 0; index < result.data.length; index++) {
    result.data[index] = tensor.data[position.reduce((sum, p, axis) => sum + p * strides[order[axis]!]!, 0)]!;
    for (let axis = shape.length - 1; axis >= 0 && ++position[axis]! === shape[axis]; axis--) position[axis] = 0;
  }
  return result;
}

/** Items `start` to `end` of the first axis. */
export function items(tensor: FloatTensor, start: number, end: number): FloatTensor {
  const size = tensor.data.length / tensor.shape[0]!;
  return floatTensor(tensor.shape.with(0, end - start), tensor.data.subarray(start * size, end * size));
}

export function reshapedTo(tensor: FloatTensor, shape: readonly number[]): FloatTensor {
  return floatTensor(shape, tensor.data);
}

function toFloat32(tensor: Tensor): FloatTensor {
  const { dtype, shape, data } = tensor;
  if (dtype === "float32") return tensor as FloatTensor;
  if (dtype === "float16") return floatTensor(shape, float16ToFloat32(data as Uint16Array));
  if (dtype === "bfloat16") return floatTensor(shape, bfloat16ToFloat32(data as Uint16Array));
  return floatTensor(shape, Float32Array.from(data as Int32Array, Number));
}
