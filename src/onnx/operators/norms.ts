/** Which operators bring numbers to a common mean, variance or sum? */
import { sameShape } from "../../tensor.ts";
import { addNode, type Edge, graphError } from "../graph.ts";
import { numbersLike } from "./constants.ts";
import { moving, type Operator, onnx } from "./operator.ts";
import { size } from "./shapes.ts";

const softmaxOperator: Operator<{ axis: number }> = {
  name: "Softmax",
  set: onnx,
  takes: ["F"],
  gives: ["F"],
  ...moving,
};

/** Over the last axis. */
export function softmax(x: Edge): Edge {
  return addNode(softmaxOperator, [x], x.shape, { axis: -1 });
}

const instanceNormalizationOperator: Operator<{ epsilon: { float: number } }> = {
  name: "InstanceNormalization",
  set: onnx,
  takes: ["F", "F", "F"],
  gives: ["F"],
  ...moving,
};

/** Each (item, channel) of (batch, channels, elements) to mean 0 and variance 1. */
export function instanceNormalization(x: Edge, epsilon: number): Edge {
  const channels = size(x, 1);
  const ones = numbersLike(x, new Float32Array(channels).fill(1));
  const zeros = numbersLike(x, new Float32Array(channels));
  return addNode(instanceNormalizationOperator, [x, ones, zeros], x.shape, { epsilon: { float: epsilon } });
}

const batchNormalizationOperator: Operator<{ epsilon: { float: number } }> = {
  name: "BatchNormalization",
  set: onnx,
  takes: ["F", "F", "F", "F", "F"],
  gives: ["F"],
  ...moving,
};

/** x * scale + shift in one pass: (batch, channels, elements) with a number each a channel. */
export function scaleAndShift(x: Edge, scale: Edge, shift: Edge): Edge {
  const channels = size(x, 1);
  for (const row of [scale, shift]) {
    if (!sameShape(row.shape, [channels])) throw graphError(x.graph, `[${x.shape}] scaled by [${row.shape}]`);
  }
  const mean = numbersLike(x, new Float32Array(channels));
  const variance = numbersLike(x, new Float32Array(channels).fill(1));
  return addNode(batchNormalizationOperator, [x, scale, shift, mean, variance], x.shape, { epsilon: { float: 0 } });
}

const layerNormalizationOperator: Operator<{ axis: number; epsilon: { float: number } }> = {
  name: "LayerNormalization",
  set: onnx,
  takes: ["F", "F", "F"],
  gives: ["F"],
  ...moving,
};

/** Over the last axis. */
export function layerNormalization(x: Edge, scale: Edge, bias: Edge | undefined, epsilon: number): Edge {
  const channels = x.shape.at(-1)!;
  for (const parameter of [scale, bias]) {
    if (parameter && !sameShape(parameter.shape, [channels])) {
      throw graphError(x.graph, `LayerNormalization of [${x.shape}] with [${parameter.shape}]`);
    }
  }
  return addNode(layerNormalizationOperator, [x, scale, bias], x.shape, { axis: -1, epsilon: { float: epsilon } });
}
