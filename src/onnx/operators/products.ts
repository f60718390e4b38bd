/** Which operators multiply so much that they take longer than moving their bytes? Products, convolutions and attention. */
import { elementCount, sameShape } from "../../tensor.ts";
import { addNode, type Edge, graphError } from "../graph.ts";
import { microsoft, multiplying, type Operator, onnx, resultCount, sizeBytes } from "./operator.ts";
import { dimensions } from "./shapes.ts";

const matMulOperator: Operator = {
  name: "MatMul",
  set: onnx,
  takes: ["F", "F"],
  gives: ["F"],
  ...multiplying("product", (node) => resultCount(node) * node.inputs[0]!.shape.at(-1)!),
};

/** (..., inner) x (inner, columns). */
export function matMul(x: Edge, matrix: Edge): Edge {
  const [inner, columns] = dimensions(matrix, 2);
  if (x.shape.at(-1) !== inner) throw graphError(x.graph, `MatMul of [${x.shape}] and [${matrix.shape}]`);
  return addNode(matMulOperator, [x, matrix], x.shape.with(-1, columns!));
}

const gemmOperator: Operator<{ transB?: number }> = {
  name: "Gemm",
  set: onnx,
  takes: ["F", "F", "F"],
  gives: ["F"],
  ...multiplying("product", (node) => resultCount(node) * node.inputs[0]!.shape[1]!),
};

/** (rows, in) x (out, in)^T + bias: the layout of a stored linear layer. */
export function gemm(x: Edge, weight: Edge, bias?: Edge): Edge {
  const [rows, inputs] = dimensions(x, 2);
  const [outputs, expected] = dimensions(weight, 2);
  if (inputs !== expected) throw graphError(x.graph, `Gemm of [${x.shape}] with weight [${weight.shape}]`);
  return addNode(gemmOperator, [x, weight, bias], [rows!, outputs!], { transB: 1 });
}

/** a (rows, inner) x b (inner, columns) + c (rows, columns). */
export function productPlus(a: Edge, b: Edge, c: Edge): Edge {
  const [rows, inner] = dimensions(a, 2);
  const [expected, columns] = dimensions(b, 2);
  if (inner !== expected || !sameShape(c.shape, [rows!, columns!])) {
    throw graphError(a.graph, `Gemm of [${a.shape}] and [${b.shape}], plus [${c.shape}]`);
  }
  return addNode(gemmOperator, [a, b, c], c.shape, {});
}

interface BatchedOptions {
  readonly alpha?: number;
  readonly aBatchSecond?: boolean;
  readonly bBatchSecond?: boolean;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

const fusedMatMulOperator: Operator<{
  alpha: { float: number };
  transBatchA: number;
  transBatchB: number;
  transA: number;
  transB: number;
}> = {
  name: "FusedMatMul",
  set: microsoft,
  takes: ["F", "F"],
  gives: ["F"],
  ...multiplying("product", (node) => {
    const { transBatchA, transA } = node.attributes;
    const [, , inner] = batchFirst(node.inputs[0]!.shape, transBatchA === 1, transA === 1);
    return resultCount(node) * inner;
  }),
};

/**
 * Products of a batch: a (batch, rows, inner) x b (batch, inner, columns), times alpha. With `batchSecond` an operand lies as
 * (rows, batch, inner), with `transpose` its last axes are exchanged.
 */
export function batchedMatMul(a: Edge, b: Edge, options: BatchedOptions): Edge {
  const { alpha = 1, aBatchSecond = false, bBatchSecond = false, transposeA = false, transposeB = false } = options;
  const [batch, rows, inner] = batchFirst(dimensions(a, 3), aBatchSecond, transposeA);
  const [otherBatch, expected, columns] = batchFirst(dimensions(b, 3), bBatchSecond, transposeB);
  if (batch !== otherBatch || inner !== expected) {
    throw graphError(a.graph, `FusedMatMul of [${a.shape}] and [${b.shape}] with ${JSON.stringify(options)}`);
  }
  return addNode(fusedMatMulOperator, [a, b], [batch, rows, columns], {
    alpha: { float: alpha },
    transBatchA: Number(aBatchSecond),
    transBatchB: Number(bBatchSecond),
    transA: Number(transposeA),
    transB: Number(transposeB),
  });
}

/** The sizes of an operand as (batch, rows, columns). */
function batchFirst(shape: readonly number[], isSecond: boolean, isTransposed: boolean): [number, number, number] {
  const [x, y, z] = shape as [number, number, number];
  const [batch, rows, columns] = isSecond ? [y, x, z] : [x, y, z];
  return isTransposed ? [batch, columns, rows] : [batch, rows, columns];
}

const convOperator: Operator<{
  kernel_shape: readonly number[];
  strides: readonly number[];
  pads: readonly number[];
}> = {
  name: "Conv",
  set: onnx,
  takes: ["F", "F", "F"],
  gives: ["F"],
  // Each result is a sum over a kernel: weight (out, in, kernel height, kernel width).
  ...multiplying("convolution", (node) => resultCount(node) * elementCount(node.inputs[1]!.shape.slice(1))),
};

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
  const { strides, pads } = options;
  const [top, left, bottom, right] = pads;
  const outHeight = Math.floor((height! + top + bottom - kernelHeight!) / strides[0]) + 1;
  const outWidth = Math.floor((width! + left + right - kernelWidth!) / strides[1]) + 1;
  return addNode(convOperator, [x, weight, bias], [batch!, outputs!, outHeight, outWidth], {
    kernel_shape: [kernelHeight!, kernelWidth!],
    strides,
    pads,
  });
}

const attentionOperator: Operator<{ num_heads: number }> = {
  name: "MultiHeadAttention",
  set: microsoft,
  takes: ["F", "F", "F"],
  gives: ["F"],
  // Each query with every key, then with every value.
  ...multiplying("attention", (node) => resultCount(node) * node.inputs[1]!.shape[1]! * 2),
  // It copies queries, keys and values, head by head.
  scratch: { bytes: ({ inputs }) => inputs.reduce((sum, input) => sum + sizeBytes(input!), 0) },
};

/** Scaled dot-product attention over (batch, tokens, heads * head size), never unfused. */
export function multiHeadAttention(q: Edge, k: Edge, v: Edge, heads: number): Edge {
  if (q.shape.length !== 3 || q.shape[2]! % heads !== 0) {
    throw graphError(q.graph, `attention of [${q.shape}] with ${heads} heads`);
  }
  return addNode(attentionOperator, [q, k, v], q.shape, { num_heads: heads });
}
