/** Which operators bring numbers to bytes and back, and multiply bytes? */
import { sameShape } from "../../tensor.ts";
import { onnxType } from "../data-types.ts";
import { addConstant, addNode, addNodeWithOutputs, type Edge, type Graph, graphError } from "../graph.ts";
import { microsoft, moving, multiplying, type Operator, onnx, resultCount } from "./operator.ts";
import { dimensions, size } from "./shapes.ts";

/** A tensor as bytes: `bytes` - `zeroPoint` times `scale`. */
export interface QuantisedEdge {
  readonly bytes: Edge;
  readonly scale: Edge;
  readonly zeroPoint: Edge;
}

const dynamicQuantizeOperator: Operator = {
  name: "DynamicQuantizeLinear",
  set: onnx,
  takes: ["float32"],
  gives: ["uint8", "float32", "uint8"],
  ...moving,
};

/** To uint8 with one scale and zero point, found in the values of the run. */
export function dynamicQuantizeLinear(x: Edge): QuantisedEdge {
  const outputs = addNodeWithOutputs(dynamicQuantizeOperator, [x], [x.shape, [], []], {});
  const [bytes, scale, zeroPoint] = outputs as [Edge, Edge, Edge];
  return { bytes, scale, zeroPoint };
}

const quantizeOperator: Operator<{ axis: number; output_dtype: number }> = {
  name: "QuantizeLinear",
  set: onnx,
  takes: ["F", "F"],
  gives: ["int8"],
  ...moving,
};

/** To int8 with a scale for each item of `axis`, around 0: to nearest, ties to even. */
export function quantizeLinear(x: Edge, scales: Edge, axis: number): Edge {
  assertScaleEach(x, scales, axis);
  return addNode(quantizeOperator, [x, scales], x.shape, { axis, output_dtype: onnxType.int8 });
}

const dequantizeOperator: Operator<{ axis: number }> = {
  name: "DequantizeLinear",
  set: onnx,
  takes: ["int8", "F"],
  gives: ["F"],
  ...moving,
};

/** The way back. */
export function dequantizeLinear(x: Edge, scales: Edge, axis: number): Edge {
  assertScaleEach(x, scales, axis);
  return addNode(dequantizeOperator, [x, scales], x.shape, { axis });
}

function assertScaleEach(x: Edge, scales: Edge, axis: number): void {
  if (!sameShape(scales.shape, [size(x, axis)]))
    throw graphError(x.graph, `[${x.shape}] with scales [${scales.shape}]`);
}

const matMulIntegerOperator: Operator = {
  name: "MatMulIntegerToFloat",
  set: microsoft,
  takes: ["uint8", "int8", "F", "F", "uint8", "int8", "F"],
  gives: ["F"],
  ...multiplying("int8Product", (node) => resultCount(node) * node.inputs[0]!.shape.at(-1)!),
};

/** uint8 (..., inner) x int8 (inner, columns) with a scale for each column, + bias. */
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
  const inputs = [bytes, weight, scale, scales, zeroPoint, int8Zeros(bytes.graph, columns!), bias];
  return addNode(matMulIntegerOperator, inputs, bytes.shape.with(-1, columns!));
}

function int8Zeros(graph: Graph, count: number): Edge {
  return addConstant(graph, { dtype: "int8", shape: [count], data: new Int8Array(count) });
}
