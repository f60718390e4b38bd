/** Is the work of a graph counted as by hand? */
import { expect, it } from "vitest";
import { addConstant, addInput, addOutput, createGraph, type Edge } from "../../src/onnx/graph.ts";
import * as ops from "../../src/onnx/ops.ts";
import { workOf } from "../../src/onnx/work.ts";
import { elementCount } from "../../src/tensor.ts";

/** What the layer does; the copy of its result is counted and taken off again. */
function work(shape: number[], layer: (x: Edge) => Edge) {
  const x = addInput(createGraph("test"), "x", "float32", shape);
  const y = layer(x);
  addOutput(x.graph, "y", y);
  const { multiplications, movedBytes } = workOf(x.graph);
  return { multiplications, movedBytes: movedBytes - 2 * 4 * elementCount(y.shape) };
}
const zeros = (x: Edge, shape: number[]) => ops.floats(x.graph, new Float32Array(shape.reduce((a, b) => a * b)), shape);
const none = { product: 0, convolution: 0, attention: 0, int8Product: 0 };

it("of a product: rows x inner x columns; it reads and writes each value once, its weights not counted", () => {
  expect(work([6, 5], (x) => ops.gemm(x, zeros(x, [7, 5])))).toEqual({
    multiplications: { ...none, product: 6 * 5 * 7 },
    movedBytes: 4 * (6 * 5 + 6 * 7),
  });
  expect(work([6, 5], (x) => ops.matMul(x, zeros(x, [5, 7]))).multiplications.product).toBe(6 * 5 * 7);
});

it("of products of a batch, also where an operand lies the other way round", () => {
  const product = (shape: number[], options: Parameters<typeof ops.batchedMatMul>[2]) =>
    work(shape, (x) => ops.batchedMatMul(x, zeros(x, [2, 5, 7]), options)).multiplications.product;
  expect(product([2, 6, 5], {})).toBe(2 * 6 * 5 * 7);
  expect(product([2, 5, 6], { transposeA: true })).toBe(2 * 6 * 5 * 7);
  expect(product([6, 2, 5], { aBatchSecond: true })).toBe(2 * 6 * 5 * 7);
  expect(product([5, 2, 6], { aBatchSecond: true, transposeA: true })).toBe(2 * 6 * 5 * 7);
});

it("of a convolution: each result has a kernel of products", () => {
  const options = { strides: [1, 1], pads: [1, 1, 1, 1] } as const;
  expect(work([2, 3, 8, 9], (x) => ops.conv(x, zeros(x, [4, 3, 3, 3]), undefined, options))).toEqual({
    multiplications: { ...none, convolution: 2 * 4 * 8 * 9 * 27 },
    movedBytes: 4 * (2 * 3 * 72 + 2 * 4 * 72),
  });
});

it("of attention: every query with every key and every value", () => {
  const { multiplications } = work([2, 10, 16], (x) => ops.multiHeadAttention(x, x, x, 4));
  expect(multiplications).toEqual({ ...none, attention: 2 * (2 * 10 * 10 * 16) });
});

it("of a product of bytes, and of what brings values to bytes", () => {
  const { multiplications, movedBytes } = work([6, 8], (x) => {
    const matrix = addConstant(x.graph, { dtype: "int8", shape: [8, 4], data: new Int8Array(32) });
    return ops.matMulIntegerToFloat(ops.dynamicQuantizeLinear(x), matrix, zeros(x, [4]));
  });
  expect(multiplications).toEqual({ ...none, int8Product: 6 * 8 * 4 });
  const scaleAndZero = 4 + 1;
  expect(movedBytes).toBe(4 * 48 + 48 + scaleAndZero + (48 + scaleAndZero + 4 * 24));
});

it("of what takes parts of its input is those parts, read and written", () => {
  expect(work([100, 8], (x) => ops.slice(x, 0, 10, 13)).movedBytes).toBe(2 * 4 * 24);
  const rows = (x: Edge) => addConstant(x.graph, { dtype: "int32", shape: [2], data: Int32Array.of(7, 9) });
  expect(work([100, 8], (x) => ops.gather(x, rows(x), 0)).movedBytes).toBe(2 * 4 * 16);
});

it("of views is nothing, and of weights only what is made of them", () => {
  expect(work([4, 4], (x) => ops.add(x, zeros(x, [4, 4])))).toEqual({ multiplications: none, movedBytes: 4 * 32 });
  const madeOfWeights = work([4, 4], (x) => ops.add(x, ops.sqrt(zeros(x, [4, 4]))));
  expect(madeOfWeights).toEqual({ multiplications: none, movedBytes: 4 * (16 + 48) });
  expect(work([4, 4], (x) => ops.reshape(x, [2, 8]))).toEqual({ multiplications: none, movedBytes: 0 });
});
