/** Which operators move numbers and leave them as they are? Other shapes, orders, parts and copies. */
import { elementCount, sameShape } from "../../tensor.ts";
import { addNode, anySize, type Edge, graphError } from "../graph.ts";
import { floats, int64s } from "./constants.ts";
import { moving, type Operator, onnx, takingOut, viewing } from "./operator.ts";
import { broadcast, dimensions, size } from "./shapes.ts";

const reshapeOperator: Operator = { name: "Reshape", set: onnx, takes: ["T", "int64"], gives: ["T"], ...viewing };

export function reshape(x: Edge, shape: readonly number[]): Edge {
  if (sameShape(x.shape, shape)) return x;
  if (elementCount(shape) !== elementCount(x.shape)) throw graphError(x.graph, `[${x.shape}] cannot become [${shape}]`);
  return addNode(reshapeOperator, [x, int64s(x.graph, shape)], shape);
}

/** (rows, columns) -> (rows, columns / length, length), whatever the sizes are. */
export function splitColumns(x: Edge, length: number): Edge {
  const [rows] = dimensions(x, 2);
  return addNode(reshapeOperator, [x, int64s(x.graph, [0, -1, length])], [rows!, anySize, length]);
}

/** (rows, a, b) -> (rows, a * b), whatever the sizes are. */
export function joinColumns(x: Edge): Edge {
  const [rows] = dimensions(x, 3);
  return addNode(reshapeOperator, [x, int64s(x.graph, [0, -1])], [rows!, anySize]);
}

const transposeOperator: Operator<{ perm: readonly number[] }> = {
  name: "Transpose",
  set: onnx,
  takes: ["T"],
  gives: ["T"],
  ...moving,
};

export function transpose(x: Edge, permutation: readonly number[]): Edge {
  const shape = permutation.map((axis) => size(x, axis));
  return addNode(transposeOperator, [x], shape, { perm: permutation });
}

const concatOperator: Operator<{ axis: number }> = {
  name: "Concat",
  set: onnx,
  takes: ["...T"],
  gives: ["T"],
  ...moving,
};

export function concat(values: readonly Edge[], axis: number): Edge {
  const first = values[0]!;
  if (values.length === 1) return first;
  for (const value of values) {
    const fits =
      value.shape.length === first.shape.length && value.shape.every((s, i) => i === axis || s === first.shape[i]);
    if (!fits) throw graphError(first.graph, `Concat of [${first.shape}] and [${value.shape}] on axis ${axis}`);
  }
  const total = values.reduce((sum, value) => sum + size(value, axis), 0);
  return addNode(concatOperator, values, first.shape.with(axis, total), { axis });
}

const sliceOperator: Operator = {
  name: "Slice",
  set: onnx,
  takes: ["T", "int64", "int64", "int64"],
  gives: ["T"],
  ...takingOut,
};

/** Rows `start` to `end` (exclusive) of one axis. */
export function slice(x: Edge, axis: number, start: number, end: number): Edge {
  if (start < 0 || end > size(x, axis) || start >= end) {
    throw graphError(x.graph, `Slice ${start}..${end} of [${x.shape}] on axis ${axis}`);
  }
  const [from, to, axes] = [start, end, axis].map((n) => int64s(x.graph, [n]));
  return addNode(sliceOperator, [x, from, to, axes], x.shape.with(axis, end - start));
}

/** The first `length` rows of one axis. */
export function crop(x: Edge, axis: number, length: number): Edge {
  return size(x, axis) === length ? x : slice(x, axis, 0, length);
}

const gatherOperator: Operator<{ axis: number }> = {
  name: "Gather",
  set: onnx,
  takes: ["T", "I"],
  gives: ["T"],
  ...takingOut,
};

/** The items of one axis whose numbers `indices` (one axis) lists. */
export function gather(x: Edge, indices: Edge, axis: number): Edge {
  const [count] = dimensions(indices, 1);
  size(x, axis);
  return addNode(gatherOperator, [x, indices], x.shape.with(axis, count!), { axis });
}

const padOperator: Operator = { name: "Pad", set: onnx, takes: ["T", "int64", "T"], gives: ["T"], ...moving };

/** `value` (a scalar) `before` and `after` each axis. */
export function pad(x: Edge, before: readonly number[], after: readonly number[], value: Edge): Edge {
  const shape = x.shape.map((length, axis) => length + before[axis]! + after[axis]!);
  return addNode(padOperator, [x, int64s(x.graph, [...before, ...after]), value], shape);
}

const expandOperator: Operator = { name: "Expand", set: onnx, takes: ["T", "int64"], gives: ["T"], ...moving };

/** The input repeated along axes of size 1. */
export function expand(x: Edge, shape: readonly number[]): Edge {
  broadcast(x, { shape });
  return addNode(expandOperator, [x, int64s(x.graph, shape)], shape);
}

const resizeOperator: Operator<{
  mode: string;
  coordinate_transformation_mode: string;
  nearest_mode: string;
}> = {
  name: "Resize",
  set: onnx,
  takes: ["T", "F", "float32"],
  gives: ["T"],
  ...moving,
};

/** (batch, channels, height, width) -> twice the height and width, each element repeated. */
export function upsampleNearest2x(x: Edge): Edge {
  const [batch, channels, height, width] = dimensions(x, 4);
  return addNode(
    resizeOperator,
    [x, undefined, floats(x.graph, [1, 1, 2, 2])],
    [batch!, channels!, 2 * height!, 2 * width!],
    { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" },
  );
}
