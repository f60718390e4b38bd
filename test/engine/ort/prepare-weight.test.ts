/** Do stored weights become what sessions compute with: floats, int8 in their own shape, and the int8 matrices that products want? */
import { afterAll, describe, expect, it } from "vitest";
import { openOrtApi, viewOfMemory } from "../../../src/engine/ort/api.ts";
import { findOrtLibrary } from "../../../src/engine/ort/library.ts";
import { createPreparer } from "../../../src/engine/ort/prepare-weight.ts";
import { startRuntime, stopRuntime } from "../../../src/engine/ort/session.ts";
import { float32ToBfloat16, float32ToFloat16 } from "../../../src/half.ts";
import { preparationGraphs } from "../../../src/onnx/preparation-graphs.ts";
import type { StoredWeight } from "../../../src/onnx/stored-weight.ts";
import {
  floatWeight,
  int8Matrix,
  int8Rows,
  type PreparedWeight,
  type TapSums,
} from "../../../src/onnx/weight-recipes.ts";
import { bytesPerElement, type DataType, elementCount, type TensorData } from "../../../src/tensor.ts";

const runtime = startRuntime(openOrtApi(findOrtLibrary()));
afterAll(() => stopRuntime(runtime));

const recipes = { float32: floatWeight, "int8 rows": int8Rows, "int8 matrix": int8Matrix };

/** What is made of a weight that lies in memory. */
function prepared(
  kind: PreparedWeight["kind"],
  shape: readonly number[],
  data: TensorData,
  { tapSums, ...options }: Partial<StoredWeight> & { tapSums?: TapSums } = {},
) {
  const { api } = runtime;
  const source: StoredWeight = { dtype: "float32", shape, file: "", offset: 0, ...options };
  const weight: PreparedWeight = recipes[kind]("weight", source, tapSums);
  const stored = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  const sizeBytes = elementCount(weight.values.shape) * bytesPerElement[weight.values.dtype];
  const allocator = api.GetAllocatorWithDefaultOptions();
  const memory = api.AllocatorAlloc(allocator, sizeBytes);
  const scalesMemory = api.AllocatorAlloc(allocator, 4 * shape[0]!);
  const preparer = createPreparer(runtime, preparationGraphs([weight]), [weight]);
  try {
    const scaled = weight.scales && { scales: scalesMemory };
    preparer.prepare({ weight, values: memory, ...scaled }, (start, target) => {
      const first = start * data.BYTES_PER_ELEMENT;
      target.set(stored.subarray(first, first + target.length));
    });
    const values = viewOfMemory(memory, sizeBytes).slice(0);
    return {
      values: kind === "float32" ? new Float32Array(values) : new Int8Array(values),
      scales: new Float32Array(viewOfMemory(scalesMemory, 4 * shape[0]!).slice(0)),
    };
  } finally {
    preparer.release();
    for (const address of [memory, scalesMemory]) api.AllocatorFree(allocator, address);
  }
}

function quantised(shape: readonly number[], data: TensorData, options?: Parameters<typeof prepared>[3]) {
  const { values, scales } = prepared("int8 matrix", shape, data, options);
  return { matrix: values, scales };
}

/** Numbers between -1 and 1 that repeat after no short while. */
const values = (count: number) => Float32Array.from({ length: count }, (_, index) => Math.sin(index * index));

/** Of a quotient in float32, ties to even. */
function nearest(quotient: number): number {
  const value = Math.fround(quotient);
  const below = Math.floor(value);
  const isBelow = value - below < 0.5 || (value - below === 0.5 && below % 2 === 0);
  return (isBelow ? below : below + 1) | 0;
}

/** By the definition: the nearest multiple of a 127th of the output's largest weight. */
function expected(shape: readonly number[], data: Float32Array) {
  const [outputs, inputs, ...kernel] = shape as [number, number, ...number[]];
  const taps = elementCount(kernel);
  const scales = Float32Array.from({ length: outputs }, (_, output) => {
    const row = data.subarray(output * inputs * taps, (output + 1) * inputs * taps);
    return row.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / 127;
  });
  const matrix = Int8Array.from({ length: data.length }, (_, index) => {
    const [row, output] = [Math.floor(index / outputs), index % outputs];
    const [tap, input] = [Math.floor(row / inputs), row % inputs];
    return nearest(data[(output * inputs + input) * taps + tap]! / scales[output]!);
  });
  return { matrix, scales };
}

describe("a weight", () => {
  it.each([
    ["linear layer", [8, 5]],
    ["layer of more numbers than are worked on together", [130, 5000]],
    ["3x3 convolution of more numbers than are worked on together", [70, 900, 3, 3]],
    ["layer of an odd number of outputs", [7, 3]],
    ["3x3 convolution", [4, 6, 3, 3]],
    ["temporal convolution", [12, 2, 3, 1, 1]],
  ])("of a %s has the taps below each other and a column for each output", (_, shape) => {
    const data = values(elementCount(shape));
    const [got, wanted] = [quantised(shape, data), expected(shape, data)];
    expect(got.scales).toEqual(wanted.scales);
    // A difference of long arrays would take minutes to print.
    const wrong = got.matrix.findIndex((value, index) => value !== wanted.matrix[index]);
    expect({ wrong, length: got.matrix.length }).toEqual({ wrong: -1, length: wanted.matrix.length });
  });

  it.each([
    ["a few outputs", [4, 6, 3, 3]],
    ["more numbers than are worked on together", [70, 900, 3, 3]],
  ])("of %s may have sums of its taps in their place", (_, shape) => {
    const [outputs, inputs] = shape as [number, number, number, number];
    const data = Float32Array.from(values(elementCount(shape)), (value) => Math.round(value * 1024) / 1024);
    const tapSums = [[0], [1, 2], [4, 5, 7, 8]];
    const sums = Float32Array.from({ length: outputs * inputs * tapSums.length }, (_, index) => {
      const first = Math.floor(index / tapSums.length) * 9;
      return tapSums[index % tapSums.length]!.reduce((sum, tap) => sum + data[first + tap]!, 0);
    });
    const [got, wanted] = [quantised(shape, data, { tapSums }), expected([outputs, inputs, 3, 1], sums)];
    expect(got.scales).toEqual(wanted.scales);
    const wrong = got.matrix.findIndex((value, index) => value !== wanted.matrix[index]);
    expect({ wrong, length: got.matrix.length }).toEqual({ wrong: -1, length: wanted.matrix.length });
  });

  it.each<[DataType, (values: Float32Array) => TensorData]>([
    ["float16", float32ToFloat16],
    ["bfloat16", float32ToBfloat16],
  ])("may be stored as %s", (dtype, toStored) => {
    const halves = Float32Array.from(values(40), (value) => Math.round(value * 128) / 128);
    expect(quantised([8, 5], toStored(halves), { dtype })).toEqual(expected([8, 5], halves));
  });

  it.each<[DataType, (values: Float32Array) => TensorData]>([
    ["float16", float32ToFloat16],
    ["bfloat16", float32ToBfloat16],
    ["float32", (floats) => floats],
  ])("stored as %s may become float32", (dtype, toStored) => {
    const halves = Float32Array.from(values(132 * 6), (value) => Math.round(value * 128) / 128);
    const { values: floats } = prepared("float32", [132, 2, 3], toStored(halves), { dtype });
    expect(floats).toEqual(halves);
  });

  it("as int8 may keep its shape", () => {
    const data = values(132 * 6);
    const { values: bytes, scales } = prepared("int8 rows", [132, 2, 3], data);
    const steps = data.map((value, index) => value / scales[Math.floor(index / 6)]!);
    expect(scales).toEqual(expected([132, 6], data).scales);
    expect(bytes).toEqual(Int8Array.from(steps, nearest));
  });

  it("whose outputs are of different sizes keeps the precision of each", () => {
    const data = values(40).map((value, index) => value * 10 ** -Math.floor(index / 5));
    expect(quantised([8, 5], data)).toEqual(expected([8, 5], data));
  });

  it("gives 0 for an output whose weights are all 0", () => {
    const { matrix, scales } = quantised([4, 2], Float32Array.of(0, 0, 1, -1, 0, 0, 0.5, 0.5));
    expect([...matrix]).toEqual([0, 127, 0, 127, 0, -127, 0, 127]);
    expect(scales[0]).toBe(0);
  });

  it("rounds ties to even", () => {
    const { matrix } = quantised([1, 6], Float32Array.of(127, 0.5, 1.5, 2.5, -0.5, -1.5));
    expect([...matrix]).toEqual([127, 0, 2, 2, 0, -2]);
  });

  it("gets the products of LoRAs before it is quantised", () => {
    const shape = [8, 2, 3, 1, 1];
    const [data, up, down, otherUp, otherDown] = [values(48), values(16), values(12), values(8), values(6)];
    const sum = data.map((value, index) => {
      const [output, at] = [Math.floor(index / 6), index % 6];
      const product = up[2 * output]! * down[at]! + up[2 * output + 1]! * down[6 + at]!;
      return value + 0.5 * product - 2 * otherUp[output]! * otherDown[at]!;
    });
    const tensor = (shape: readonly number[], data: Float32Array) => ({ dtype: "float32", shape, data }) as const;
    const additions = [
      { scale: 0.5, up: tensor([8, 2], up), down: tensor([2, 6], down) },
      { scale: -2, up: tensor([8, 1], otherUp), down: tensor([1, 6], otherDown) },
    ];
    const { matrix, scales } = quantised(shape, data, { additions });
    const wanted = expected(shape, sum);
    expect(matrix).toEqual(wanted.matrix);
    for (const [output, scale] of scales.entries()) expect(scale).toBeCloseTo(wanted.scales[output]!, 6);
  });
});
