/** How does a stored tensor enter a graph? As it lies in its file, brought to fp32, with what LoRAs add. ONNX Runtime folds all of it when the session starts. */
import { addExternal, type Edge, type Graph } from "../onnx/graph.ts";
import * as ops from "../onnx/ops.ts";
import type { Weight } from "../weights/view.ts";
import { withAdditions } from "./low-rank.ts";

export function parameter(graph: Graph, weight: Weight): Edge {
  const { name, dtype, shape, isTransposed } = weight;
  const asStored = addExternal(graph, name, dtype, isTransposed ? shape.toReversed() : shape, weight);
  const inFp32 = ops.cast(asStored, "float32");
  return withAdditions(isTransposed ? ops.transpose(inFp32, [1, 0]) : inFp32, weight);
}
