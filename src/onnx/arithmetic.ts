/** How much arithmetic is a graph? The multiplications of its convolutions, products and attentions; the rest is little. */
import { elementCount } from "../tensor.ts";
import type { Graph } from "./graph.ts";

export function countMultiplications(graph: Graph): number {
  const shapeOf = (name: string | undefined) => graph.edges.get(name!)!.shape;
  let count = 0;
  for (const { operator, inputs, outputs } of graph.nodes) {
    const results = elementCount(shapeOf(outputs[0]));
    if (operator === "Conv" || operator === "Gemm") {
      count += results * elementCount(shapeOf(inputs[1]).slice(1)); // weight (out, in, ...)
    } else if (operator === "MultiHeadAttention") {
      count += results * shapeOf(inputs[1])[1]! * 2; // each query with every key, then every value
    }
  }
  return count;
}
