/** Which operators may a graph use, and what shape does each give? One function an operator, each with its shape rule. */
import { type DataType, elementCount, sameShape } from "../tensor.ts";
import { onnxType } from "./data-types.ts";
import { addConstant, addNode, addNodeWithOutputs, anySize, type Edge, type Graph, graphError } from "./graph.ts";

const microsoft = { domain: "com.microsoft" } as const;

export function scalar(graph: Graph, value: number): Edge {
  return addConstant(graph, { dtype: "float32", shape: [], data: Float32Array.of(value) });
}

export function floats(graph: Graph, values: ArrayLike<number>, shape: readonly number[] = [values.length]): Edge {
  return addConstant(graph, { dtype: "float32", shape, data: Float32Array.from(values) });
}

function int64s(graph: Graph, values: readonly number[]): Edge {
  return addConstant(graph, { dtype: "int64", shape: [values.length], data: BigInt64Array.from(values, BigInt) });
}

export const add = (a: Edge, b: Edge): Edge => elementwise("Add", a, b);
export const subtract = (a: Edge, b: Edge): Edge => elementwise("Sub", a, b);
export const multiply = (a: Edge, b: Edge): Edge => elementwise("Mul", a, b);
export const divide = (a: Edge, b: Edge): Edge => elementwise("Div", a, b);
export const maximum = (a: Edge, b: Edge): Edge => elementwise("Max", a, b);
export const sigmoid = (x: Edge): Edge => unary("Sigmoid", x);
export const absolute = (x: Edge): Edge => unary("Abs", x);
export const sqrt = (x: Edge): Edge => unary("Sqrt", x);
export const reciprocal = (x: Edge): Edge => unary("Reciprocal", x);
export const sin = (x: Edge): Edge => unary("Sin", x);
export const cos = (x: Edge): Edge => unary("Cos", x);
/** x * Phi(x), with the error function. */
export const gelu = (x: Edge): Edge => unary("Gelu", x);
/** x * sigmoid(alpha * x): SiLU for alpha 1, CLIP's quick GELU for 1.702. */
export const quickGelu = (x: Edge, alpha: number): Edge =>
  addNode("QuickGelu", [x], shapeOf(x), { ...microsoft, attributes: { alpha: { float: alpha } } });

export function cast(x: Edge, dtype: DataType): Edge {
  return x.dtype === dtype
    ? x
    : addNode("Cast", [x], { dtype, shape: x.shape }, { attributes: { to: onnxType[dtype] } });
}

export function reshape(x: Edge, shape: readonly number[]): Edge {
  if (sameShape(x.shape, shape)) return x;
  if (elementCount(shape) !== elementCount(x.shape)) throw graphError(x.graph, `[${x.shape}] cannot become [${shape}]`);
  return addNode("Reshape", [x, int64s(x.graph, shape)], { dtype: x.dtype, shape });
}

/** (rows, columns) -> (rows, columns / length, length), whatever the sizes are. */
export function splitColumns(x: Edge, length: number): Edge {
  const [rows] = dimensions(x, 2);
  return addNode("Reshape", [x, int64s(x.graph, [0, -1, length])], { dtype: x.dtype, shape: [rows!, anySize, length] });
}

/** (rows, a, b) -> (rows, a * b), whatever the sizes are. */
export function joinColumns(x: Edge): Edge {
  const [rows] = dimensions(x, 3);
  return addNode("Reshape", [x, int64s(x.graph, [0, -1])], { dtype: x.dtype, shape: [rows!, anySize] });
}

/** (..., inner) x (inner, columns). */
export function matMul(x: Edge, matrix: Edge): Edge {
  const [inner, columns] = dimensions(matrix, 2);
  if (x.shape.at(-1) !== inner) throw graphError(x.graph, `MatMul of [${x.shape}] and [${matrix.shape}]`);
  return addNode("MatMul", [x, matrix], { dtype: x.dtype, shape: x.shape.with(-1, columns!) });
}

export function transpose(x: Edge, permutation: readonly number[]): Edge {
  const shape = permutation.map((axis) => size(x, axis));
  return addNode("Transpose", [x], { dtype: x.dtype, shape }, { attributes: { perm: permutation } });
}

export function concat(values: readonly Edge[], axis: number): Edge {
  const first = values[0]!;
  if (values.length === 1) return first;
  for (const value of values) {
    const fits =
      value.shape.length === first.shape.length && value.shape.every((s, i) => i === axis || s === first.shape[i]);
    if (!fits) throw graphError(first.graph, `Concat of [${first.shape}] and [${value.shape}] on axis ${axis}`);
  }
  const total = values.reduce((sum, value) => sum + size(value, axis), 0);
  return addNode(
    "Concat",
    values,
    { dtype: first.dtype, shape: first.shape.with(axis, total) },
    { attributes: { axis } },
  );
}

/** Rows `start` to `end` (exclusive) of one axis. */
export function slice(x: Edge, axis: number, start: number, end: number): Edge {
  if (start < 0 || end > size(x, axis) || start >= end) {
    throw graphError(x.graph, `Slice ${start}..${end} of [${x.shape}] on axis ${axis}`);
  }
  const [from, to, axes] = [start, end, axis].map((n) => int64s(x.graph, [n]));
  return addNode("Slice", [x, from, to, axes], { dtype: x.dtype, shape: x.shape.with(axis, end - start) });
}

/** The first `length` rows of one axis. */
export function crop(x: Edge, axis: number, length: number): Edge {
  return size(x, axis) === length ? x : slice(x, axis, 0, length);
}

/** The items of one axis whose numbers `indices` (one axis) lists. */
export function gather(x: Edge, indices: Edge, axis: number): Edge {
  const [count] = dimensions(indices, 1);
  size(x, axis);
  return addNode(
    "Gather",
    [x, indices],
    { dtype: x.dtype, shape: x.shape.with(axis, count!) },
    { attributes: { axis } },
  );
}

/** `value` (a scalar) `before` and `after` each axis. */
export function pad(x: Edge, before: readonly number[], after: readonly number[], value: Edge): Edge {
  const shape = x.shape.map((length, axis) => length + before[axis]! + after[axis]!);
  return addNode("Pad", [x, int64s(x.graph, [...before, ...after]), value], { dtype: x.dtype, shape });
}

/** The input repeated along axes of size 1. */
export function expand(x: Edge, shape: readonly number[]): Edge {
  broadcast(x, { ...x, shape });
  return addNode("Expand", [x, int64s(x.graph, shape)], { dtype: x.dtype, shape });
}

/** (rows, in) x (out, in)^T + bias: the layout of a stored linear layer. */
export function gemm(x: Edge, weight: Edge, bias?: Edge): Edge {
  const [rows, inputs] = dimensions(x, 2);
  const [outputs, expected] = dimensions(weight, 2);
  if (inputs !== expected) throw graphError(x.graph, `Gemm of [${x.shape}] with weight [${weight.shape}]`);
  return addNode(
    "Gemm",
    [x, weight, bias],
    { dtype: x.dtype, shape: [rows!, outputs!] },
    { attributes: { transB: 1 } },
  );
}

/** a (rows, inner) x b (inner, columns) + c (rows, columns). */
export function productPlus(a: Edge, b: Edge, c: Edge): Edge {
  const [rows, inner] = dimensions(a, 2);
  const [expected, columns] = dimensions(b, 2);
  if (inner !== expected || !sameShape(c.shape, [rows!, columns!])) {
    throw graphError(a.graph, `Gemm of [${a.shape}] and [${b.shape}], plus [${c.shape}]`);
  }
  return addNode("Gemm", [a, b, c], shapeOf(c));
}

/**
 * Products of a batch: a (batch, rows, inner) x b (batch, inner, columns), times alpha. With `batchSecond` an operand lies as
 * (rows, batch, inner), with `transpose` its last axes are exchanged.
 */
export function batchedMatMul(
  a: Edge,
  b: Edge,
  options: {
    alpha?: number;
    aBatchSecond?: boolean;
    bBatchSecond?: boolean;
    transposeA?: boolean;
    transposeB?: boolean;
  },
): Edge {
  const { alpha = 1, aBatchSecond = false, bBatchSecond = false, transposeA = false, transposeB = false } = options;
  const batchFirst = ([x, y, z]: readonly number[], isSecond: boolean, isTransposed: boolean) => {
    const [batch, ...matrix] = (isSecond ? [y, x, z] : [x, y, z]) as [number, number, number];
    return [batch, ...(isTransposed ? matrix.toReversed() : matrix)];
  };
  const [batch, rows, inner] = batchFirst(dimensions(a, 3), aBatchSecond, transposeA);
  const [otherBatch, expected, columns] = batchFirst(dimensions(b, 3), bBatchSecond, transposeB);
  if (batch !== otherBatch || inner !== expected) {
    throw graphError(a.graph, `FusedMatMul of [${a.shape}] and [${b.shape}] with ${JSON.stringify(options)}`);
  }
  const attributes = {
    alpha: { float: alpha },
    transBatchA: Number(aBatchSecond),
    transBatchB: Number(bBatchSecond),
    transA: Number(transposeA),
    transB: Number(transposeB),
  };
  return addNode(
    "FusedMatMul",
    [a, b],
    { dtype: a.dtype, shape: [batch!, rows!, columns!] },
    { ...microsoft, attributes },
  );
}

/** Over the last axis. */
export const softmax = (x: Edge): Edge => addNode("Softmax", [x], shapeOf(x), { attributes: { axis: -1 } });

/** A tensor as bytes: `bytes` - `zeroPoint` times `scale`. */
export interface QuantisedEdge {
  readonly bytes: Edge;
  readonly scale: Edge;
  readonly zeroPoint: Edge;
}

/** To uint8 with one scale and zero point, found in the values of the run. */
export function dynamicQuantizeLinear(x: Edge): QuantisedEdge {
  const [bytes, scale, zeroPoint] = addNodeWithOutputs(
    "DynamicQuantizeLinear",
    [x],
    [
      { dtype: "uint8", shape: x.shape },
      { dtype: "float32", shape: [] },
      { dtype: "uint8", shape: [] },
    ],
  ) as [Edge, Edge, Edge];
  return { bytes, scale, zeroPoint };
}

/** float32 to int8 with a scale for each item of `axis`, around 0: to nearest, ties to even. */
export function quantizeLinear(x: Edge, scales: Edge, axis: number): Edge {
  assertScaleEach(x, scales, axis);
  const attributes = { axis, output_dtype: onnxType.int8 };
  return addNode("QuantizeLinear", [x, scales], { dtype: "int8", shape: x.shape }, { attributes });
}

/** The way back. */
export function dequantizeLinear(x: Edge, scales: Edge, axis: number): Edge {
  assertScaleEach(x, scales, axis);
  return addNode("DequantizeLinear", [x, scales], { dtype: "float32", shape: x.shape }, { attributes: { axis } });
}

function assertScaleEach(x: Edge, scales: Edge, axis: number): void {
  if (!sameShape(scales.shape, [size(x, axis)]))
    throw graphError(x.graph, `[${x.shape}] with scales [${scales.shape}]`);
}

/** uint8 (..., inner) x int8 (inner, columns) with a scale for each column, + bias: float32. */
export function matMulIntegerToFloat(x: QuantisedEdge, weight: Edge, scales: Edge, bias?: Edge): Edge {
  const { bytes, scale, zeroPoint } = x;
  const inner = bytes.shape.at(-1);
  const [expected, columns] = dimensions(weight, 2);
  if (inner !== expected || !sameShape(scales.shape, [columns!])) {
    throw graphError(
      bytes.graph,
      `MatMulIntegerToFloat of [${bytes.shape}] and [${weight.shape}], scales [${scales.shape}]`,
    );
  }
  return addNode(
    "MatMulIntegerToFloat",
    [bytes, weight, scale, scales, zeroPoint, int8Zeros(bytes.graph, columns!), bias],
    { dtype: "float32", shape: bytes.shape.with(-1, columns!) },
    microsoft,
  );
}

function int8Zeros(graph: Graph, count: number): Edge {
  return addConstant(graph, { dtype: "int8", shape: [count], data: new Int8Array(count) });
}

/** 2-D convolution: x (batch, in, height, width), weight (out, in, kernel height, kernel width). */
export function conv(
  x: Edge,
  weight: Edge,
  bias: Edge | undefined,
  options: { strides: readonly [number, number]; pads: readonly [number, number, number, number] },
): Edge {
  const [batch, channels, height, width] = dimensions(x, 4);
  const [outputs, inputs, kernelHeight, kernelWidth] = dimensions(weight, 4);
  if (channels !== inputs) throw graphError(x.graph, `Conv of [${x.shape}] with weight [${weight.shape}]`);
  const [top, left, bottom, right] = options.pads;
  const outHeight = Math.floor((height! + top + bottom - kernelHeight!) / options.strides[0]) + 1;
  const outWidth = Math.floor((width! + left + right - kernelWidth!) / options.strides[1]) + 1;
  return addNode(
    "Conv",
    [x, weight, bias],
    { dtype: x.dtype, shape: [batch!, outputs!, outHeight, outWidth] },
    { attributes: { kernel_shape: [kernelHeight!, kernelWidth!], strides: options.strides, pads: options.pads } },
  );
}

export const reduceMean = (x: Edge, axes: readonly number[]): Edge => reduce("ReduceMean", x, axes);
export const reduceSumSquare = (x: Edge, axes: readonly number[]): Edge => reduce("ReduceSumSquare", x, axes);

/** Of all numbers, a scalar. */
export const sumOfAll = (x: Edge): Edge =>
  addNode("ReduceSum", [x], { dtype: x.dtype, shape: [] }, { attributes: { keepdims: 0 } });

/** Of scalars, a scalar. */
export const sumOfScalars = (scalars: readonly Edge[]): Edge => addNode("Sum", scalars, shapeOf(scalars[0]!));

/** Of each row, (rows, columns) to (rows). */
export const largestOfRows = (x: Edge): Edge => reduceRows("ReduceMax", x);
export const smallestOfRows = (x: Edge): Edge => reduceRows("ReduceMin", x);
export const sumsOfRows = (x: Edge): Edge => reduceRows("ReduceSum", x);

/** Each (item, channel) of (batch, channels, elements) to mean 0 and variance 1. */
export function instanceNormalization(x: Edge, epsilon: number): Edge {
  const channels = size(x, 1);
  const ones = floats(x.graph, new Float32Array(channels).fill(1));
  const zeros = floats(x.graph, new Float32Array(channels));
  return addNode("InstanceNormalization", [x, ones, zeros], shapeOf(x), {
    attributes: { epsilon: { float: epsilon } },
  });
}

/** x * scale + shift in one pass: (batch, channels, elements) with a number each a channel. */
export function scaleAndShift(x: Edge, scale: Edge, shift: Edge): Edge {
  const channels = size(x, 1);
  for (const row of [scale, shift]) {
    if (!sameShape(row.shape, [channels])) throw graphError(x.graph, `[${x.shape}] scaled by [${row.shape}]`);
  }
  const mean = floats(x.graph, new Float32Array(channels));
  const variance = floats(x.graph, new Float32Array(channels).fill(1));
  return addNode("BatchNormalization", [x, scale, shift, mean, variance], shapeOf(x), {
    attributes: { epsilon: { float: 0 } },
  });
}

/** Over the last axis. */
export function layerNormalization(x: Edge, scale: Edge, bias: Edge | undefined, epsilon: number): Edge {
  const channels = x.shape.at(-1)!;
  for (const parameter of [scale, bias]) {
    if (parameter && !sameShape(parameter.shape, [channels])) {
      throw graphError(x.graph, `LayerNormalization of [${x.shape}] with [${parameter.shape}]`);
    }
  }
  return addNode("LayerNormalization", [x, scale, bias], shapeOf(x), {
    attributes: { axis: -1, epsilon: { float: epsilon } },
  });
}

/** Scaled dot-product attention over (batch, tokens, heads * head size), never unfused. */
export function multiHeadAttention(q: Edge, k: Edge, v: Edge, heads: number): Edge {
  if (q.shape.length !== 3 || q.shape[2]! % heads !== 0) {
    throw graphError(q.graph, `attention of [${q.shape}] with ${heads} heads`);
  }
  return addNode("MultiHeadAttention", [q, k, v], shapeOf(q), { ...microsoft, attributes: { num_heads: heads } });
}

/** (batch, channels, height, width) -> twice the height and width, each element repeated. */
export function upsampleNearest2x(x: Edge): Edge {
  const [batch, channels, height, width] = dimensions(x, 4);
  return addNode(
    "Resize",
    [x, undefined, floats(x.graph, [1, 1, 2, 2])],
    { dtype: x.dtype, shape: [batch!, channels!, 2 * height!, 2 * width!] },
    { attributes: { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" } },
  );
}

function elementwise(operator: string, a: Edge, b: Edge): Edge {
  return addNode(operator, [a, b], { dtype: a.dtype, shape: broadcast(a, b) });
}

function unary(operator: string, x: Edge): Edge {
  return addNode(operator, [x], shapeOf(x));
}

function reduce(operator: string, x: Edge, axes: readonly number[]): Edge {
  const shape = x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
  return addNode(operator, [x, int64s(x.graph, axes)], { dtype: x.dtype, shape }, { attributes: { keepdims: 1 } });
}

function reduceRows(operator: string, x: Edge): Edge {
  const [rows] = dimensions(x, 2);
  return addNode(
    operator,
    [x, int64s(x.graph, [1])],
    { dtype: x.dtype, shape: [rows!] },
    { attributes: { keepdims: 0 } },
  );
}

function shapeOf(x: Edge): { dtype: DataType; shape: readonly number[] } {
  return { dtype: x.dtype, shape: x.shape };
}

/** NumPy's broadcasting rule. */
function broadcast(a: Edge, b: Edge): number[] {
  const rank = Math.max(a.shape.length, b.shape.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a.shape[axis - rank + a.shape.length] ?? 1;
    const right = b.shape[axis - rank + b.shape.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw graphError(a.graph, `[${a.shape}] and [${b.shape}] do not broadcast`);
    }
    return left === 1 ? right : left;
  });
}

function size(x: Edge, axis: number): number {
  const length = x.shape[axis];
  if (length === undefined) throw graphError(x.graph, `[${x.shape}] has no axis ${axis}`);
  return length;
}

function dimensions(x: Edge, rank: number): readonly number[] {
  if (x.shape.length !== rank) throw graphError(x.graph, `[${x.shape}] should have ${rank} axes`);
  return x.shape;
}
