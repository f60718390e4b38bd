/** Do stored weights become what sessions compute with: floats, int8 in their own shape, and the int8 matrices that products want? */
import { describe, expect, it } from "vitest";
import { float32ToBfloat16, float32ToFloat16 } from "../../src/half.ts";
import {
  floatsOfWeight,
  type Int8Weight,
  quantiseWeight,
  type StoredWeight,
  scratchLength,
} from "../../src/onnx/prepared.ts";
import { type DataType, elementCount, type TensorData } from "../../src/tensor.ts";

/** A weight that lies in memory. */
function weightOf(shape: readonly number[], data: TensorData, options: Partial<StoredWeight> = {}) {
  const source: StoredWeight = { dtype: "float32", shape, file: "", offset: 0, ...options };
  const stored = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  const size = data.BYTES_PER_ELEMENT;
  const read = (start: number, end: number) => stored.subarray(start * size, end * size) as Uint8Array<ArrayBuffer>;
  return { source, read };
}

/** The matrix and the scales of a weight that lies in memory. */
function quantised(shape: readonly number[], data: TensorData, options: Partial<StoredWeight> = {}) {
  const { bytes: matrix, scales } = inInt8("int8 matrix", shape, data, options);
  return { matrix, scales };
}

function inInt8(kind: Int8Weight["kind"], shape: readonly number[], data: TensorData, options?: Partial<StoredWeight>) {
  const { source, read } = weightOf(shape, data, options);
  const bytes = new Int8Array(elementCount(shape));
  const scales = new Float32Array(shape[0]!);
  quantiseWeight(source, read, new Float32Array(scratchLength(source)), { kind, bytes, scales });
  return { bytes, scales };
}

function inFloats(shape: readonly number[], data: TensorData, options?: Partial<StoredWeight>) {
  const { source, read } = weightOf(shape, data, options);
  const values = new Float32Array(elementCount(shape));
  floatsOfWeight(source, read, values);
  return values;
}

/** Numbers between -1 and 1 that repeat after no short while. */
const values = (count: number) => Float32Array.from({ length: count }, (_, index) => Math.sin(index * index));

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
    return Math.round(data[(output * inputs + input) * taps + tap]! / scales[output]!);
  });
  return { matrix, scales };
}

describe("a weight", () => {
  it.each([
    ["linear layer", [8, 5]],
    ["layer of more outputs than are worked on together", [132, 3]],
    ["3x3 convolution", [4, 6, 3, 3]],
    ["temporal convolution", [12, 2, 3, 1, 1]],
  ])("of a %s has the taps below each other and a column for each output", (_, shape) => {
    const data = values(elementCount(shape));
    expect(quantised(shape, data)).toEqual(expected(shape, data));
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
  ])("stored as %s may become float32, of more outputs than are worked on together", (dtype, toStored) => {
    const halves = Float32Array.from(values(132 * 6), (value) => Math.round(value * 128) / 128);
    expect(inFloats([132, 2, 3], toStored(halves), { dtype })).toEqual(halves);
  });

  it("as int8 may keep its shape", () => {
    const data = values(132 * 6);
    const { bytes, scales } = inInt8("int8 rows", [132, 2, 3], data);
    const steps = data.map((value, index) => value / scales[Math.floor(index / 6)]!);
    expect(scales).toEqual(expected([132, 6], data).scales);
    expect(bytes).toEqual(Int8Array.from(steps, Math.round));
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

  it("gets the products of LoRAs before it is quantised", () => {
    const shape = [8, 2, 3, 1, 1];
    const [data, up, down] = [values(48), values(16), values(12)];
    const sum = data.map((value, index) => {
      const [output, at] = [Math.floor(index / 6), index % 6];
      const product = up[2 * output]! * down[at]! + up[2 * output + 1]! * down[6 + at]!;
      return value + 0.5 * product;
    });
    const additions = [
      {
        scale: 0.5,
        up: { dtype: "float32", shape: [8, 2], data: up },
        down: { dtype: "float32", shape: [2, 6], data: down },
      } as const,
    ];
    const { matrix, scales } = quantised(shape, data, { additions });
    const wanted = expected(shape, sum);
    expect(matrix).toEqual(wanted.matrix);
    for (const [output, scale] of scales.entries()) expect(scale).toBeCloseTo(wanted.scales[output]!, 8);
  });
});
