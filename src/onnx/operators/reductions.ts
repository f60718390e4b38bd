/** Which operators make one number of many? */
import { addNode, type Edge } from "../graph.ts";
import { int64s } from "./constants.ts";
import { moving, type Operator, onnx } from "./operator.ts";
import { dimensions } from "./shapes.ts";

type Reduction = Operator<{ keepdims: number }>;

/** Since operator set 18 their axes are an input. */
const reduction = (name: string): Reduction => ({ name, set: onnx, takes: ["N", "int64"], gives: ["N"], ...moving });

const sumOperator = reduction("ReduceSum");

export const reduceMean = overAxes(reduction("ReduceMean"));
export const reduceSumSquare = overAxes(reduction("ReduceSumSquare"));

/** Of each row, (rows, columns) to (rows). */
export const largestOfRows = ofRows(reduction("ReduceMax"));
export const smallestOfRows = ofRows(reduction("ReduceMin"));
export const sumsOfRows = ofRows(sumOperator);

/** Of all numbers, a scalar. */
export function sumOfAll(x: Edge): Edge {
  return addNode(sumOperator, [x], [], { keepdims: 0 });
}

/** The axes stay, each of size 1. */
function overAxes(operator: Reduction): (x: Edge, axes: readonly number[]) => Edge {
  return (x, axes) => {
    const shape = x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
    return addNode(operator, [x, int64s(x.graph, axes)], shape, { keepdims: 1 });
  };
}

function ofRows(operator: Reduction): (x: Edge) => Edge {
  return (x) => {
    const [rows] = dimensions(x, 2);
    return addNode(operator, [x, int64s(x.graph, [1])], [rows!], { keepdims: 0 });
  };
}
