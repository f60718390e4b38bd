/** Which numbers does a graph carry itself? In the dtype of what they meet: no operator takes two. */
import { StillmotionError } from "../../errors.ts";
import { float32ToBfloat16, float32ToFloat16 } from "../../half.ts";
import type { DataType, TensorData } from "../../tensor.ts";
import { addConstant, addNamedConstant, type Edge, type Graph } from "../graph.ts";

type Shape = readonly number[];

/** float32, for what is that in every graph. */
export function floats(graph: Graph, values: ArrayLike<number>, shape: Shape = [values.length]): Edge {
  return constant(graph, "float32", values, shape);
}

/** Of the dtype of `like`, for what meets it. */
export function numbersLike(like: Edge, values: ArrayLike<number>, shape: Shape = [values.length]): Edge {
  return constant(like.graph, like.dtype, values, shape);
}

/** The same for many numbers, which are made once: a name says which are equal. */
export function namedNumbersLike(like: Edge, name: string, shape: Shape, make: () => Float32Array): Edge {
  const { graph, dtype } = like;
  const named = dtype === "float32" ? name : `${name}:${dtype}`;
  return addNamedConstant(graph, named, { dtype, shape }, () => dataOf(dtype, make()));
}

export function int64s(graph: Graph, values: readonly number[]): Edge {
  return constant(graph, "int64", values, [values.length]);
}

function constant(graph: Graph, dtype: DataType, values: ArrayLike<number>, shape: Shape): Edge {
  return addConstant(graph, { dtype, shape, data: dataOf(dtype, values) });
}

function dataOf(dtype: DataType, values: ArrayLike<number>): TensorData {
  switch (dtype) {
    case "float32":
      return Float32Array.from(values);
    case "float16":
      return float32ToFloat16(Float32Array.from(values));
    case "bfloat16":
      return float32ToBfloat16(Float32Array.from(values));
    case "int64":
      return BigInt64Array.from(Array.from(values), BigInt);
    case "int32":
      return Int32Array.from(values);
    case "int8":
      return Int8Array.from(values);
    case "uint8":
      return Uint8Array.from(values);
    default:
      throw new StillmotionError("internal", `a graph carries no constants of ${dtype}`);
  }
}
