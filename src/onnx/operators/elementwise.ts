/** Which operators work number by number? */
import type { DataType } from "../../tensor.ts";
import { onnxType } from "../data-types.ts";
import { addNode, type Edge } from "../graph.ts";
import { numbersLike } from "./constants.ts";
import { microsoft, moving, type Operator, onnx } from "./operator.ts";
import { broadcast } from "./shapes.ts";

/** A plain number becomes a scalar of the other operand's dtype. */
interface Binary {
  (a: Edge, b: Edge | number): Edge;
  (a: number, b: Edge): Edge;
}

export const add = binary("Add");
export const subtract = binary("Sub");
export const multiply = binary("Mul");
export const divide = binary("Div");
export const maximum = binary("Max");

function binary(name: string): Binary {
  const operator: Operator = { name, set: onnx, takes: ["N", "N"], gives: ["N"], ...moving };
  return (a: Edge | number, b: Edge | number) => {
    const [left, right] = [edgeOf(a, b), edgeOf(b, a)];
    return addNode(operator, [left, right], broadcast(left, right));
  };
}

function edgeOf(operand: Edge | number, other: Edge | number): Edge {
  return typeof operand === "number" ? numbersLike(other as Edge, [operand], []) : operand;
}

export const absolute = unary({ name: "Abs", set: onnx, takes: ["N"], gives: ["N"], ...moving });
export const sqrt = unary(floatingPoint("Sqrt"));
export const reciprocal = unary(floatingPoint("Reciprocal"));
export const sin = unary(floatingPoint("Sin"));
export const cos = unary(floatingPoint("Cos"));
export const sigmoid = unary({ ...floatingPoint("Sigmoid"), buffer: { overwrites: [0] } });
/** x * Phi(x), with the error function. */
export const gelu = unary(floatingPoint("Gelu"));

function floatingPoint(name: string): Operator {
  return { name, set: onnx, takes: ["F"], gives: ["F"], ...moving };
}

function unary(operator: Operator): (x: Edge) => Edge {
  return (x) => addNode(operator, [x], x.shape);
}

const quickGeluOperator: Operator<{ alpha: { float: number } }> = {
  name: "QuickGelu",
  set: microsoft,
  takes: ["F"],
  gives: ["F"],
  ...moving,
};

/** x * sigmoid(alpha * x): SiLU for alpha 1, CLIP's quick GELU for 1.702. */
export function quickGelu(x: Edge, alpha: number): Edge {
  return addNode(quickGeluOperator, [x], x.shape, { alpha: { float: alpha } });
}

const castTo = (dtype: DataType): Operator<{ to: number }> => ({
  name: "Cast",
  set: onnx,
  takes: ["T"],
  gives: [dtype],
  ...moving,
  buffer: { overwrites: [0] },
});

export function cast(x: Edge, dtype: DataType): Edge {
  return x.dtype === dtype ? x : addNode(castTo(dtype), [x], x.shape, { to: onnxType[dtype] });
}

const sumOperator: Operator = { name: "Sum", set: onnx, takes: ["...F"], gives: ["F"], ...moving };

/** Of scalars, a scalar. */
export function sumOfScalars(scalars: readonly Edge[]): Edge {
  return addNode(sumOperator, scalars, scalars[0]!.shape);
}
