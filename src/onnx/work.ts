/** How much work is one run of a graph? Its multiplications, by the kind of operator that does them, and the bytes that it moves. */
import { bytesPerElement, elementCount } from "../tensor.ts";
import type { Graph } from "./graph.ts";

/** Kinds of operators that multiply, each of a speed of its own. */
export const kindsOfWork = ["product", "convolution", "attention", "int8Product"] as const;
export type KindOfWork = (typeof kindsOfWork)[number];

export interface GraphWork {
  readonly multiplications: Readonly<Record<KindOfWork, number>>;
  /** Read and written by all operators that compute. */
  readonly movedBytes: number;
}

const kinds: Readonly<Record<string, KindOfWork>> = {
  Gemm: "product",
  Conv: "convolution",
  MatMul: "product",
  FusedMatMul: "product",
  MultiHeadAttention: "attention",
  MatMulIntegerToFloat: "int8Product",
};

/** Operators that read no more of their input than they write. */
const readingParts = ["Slice", "Gather"];

const known = new WeakMap<Graph, GraphWork>();

/** Of a graph that is written to its end. */
export function workOf(graph: Graph): GraphWork {
  const work = known.get(graph) ?? count(graph);
  known.set(graph, work);
  return work;
}

export function countMultiplications(graph: Graph): number {
  return Object.values(workOf(graph).multiplications).reduce((sum, each) => sum + each, 0);
}

function count(graph: Graph): GraphWork {
  const shapeOf = (name: string | undefined) => graph.edges.get(name!)!.shape;
  const bytesOf = (name: string) => elementCount(shapeOf(name)) * bytesPerElement[graph.edges.get(name)!.dtype];
  const multiplications = { product: 0, convolution: 0, attention: 0, int8Product: 0 };
  let movedBytes = 0;
  for (const { operator, inputs, outputs, attributes } of graph.nodes) {
    if (operator === "Reshape") continue; // another view of its input, where an Identity copies a result
    const read = readingParts.includes(operator)
      ? outputs
      : inputs.filter((name) => name !== "" && !graph.initializers.has(name));
    movedBytes += [...read, ...outputs].reduce((sum, name) => sum + bytesOf(name), 0);
    const results = elementCount(shapeOf(outputs[0]));
    const kind = kinds[operator];
    if (kind === "convolution") {
      const [, ...perResult] = shapeOf(inputs[1]); // weight (out, in, kernel height, kernel width)
      multiplications.convolution += results * elementCount(perResult);
    } else if (kind === "attention") {
      multiplications.attention += results * shapeOf(inputs[1])[1]! * 2; // each query with every key, then every value
    } else if (kind !== undefined) {
      multiplications[kind] += results * shapeOf(inputs[0]).at(attributes.transA ? -2 : -1)!; // (rows, inner)
    }
  }
  return { multiplications, movedBytes };
}
