/** How are LoRAs added to a weight? As a product in the graph: all its inputs are constants, so it is worked out once, at session start. */
import { addConstant, type Edge, type Graph } from "../onnx/graph.ts";
import * as ops from "../onnx/ops.ts";
import type { LowRankProduct } from "../weights/types.ts";
import type { Weight } from "../weights/view.ts";

/** W + scale * (up x down) for each product (Hu et al. 2021, "LoRA", section 4.1). `edge` holds the weight in fp32. */
export function withAdditions(edge: Edge, weight: Weight): Edge {
  return (weight.additions ?? []).reduce(
    (sum, product) => ops.add(sum, ops.reshape(scaledProduct(edge.graph, product, weight.name), weight.shape)),
    edge,
  );
}

/** (outputs, elements of one output). Rows of one weight share `down`, so only `up` is named after them. */
function scaledProduct(graph: Graph, { name, scale, up, down }: LowRankProduct, weightName: string): Edge {
  const left = ops.cast(addConstant(graph, up, `${name}:up:${weightName}`), "float32");
  const right = ops.cast(addConstant(graph, down, `${name}:down`), "float32");
  return ops.multiply(ops.matmul(left, right), ops.scalar(graph, scale));
}
