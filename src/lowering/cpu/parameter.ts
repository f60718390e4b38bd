/** How does a stored tensor enter a graph? As fp32: worked out before the session starts, or each time that it is used. */
import { addExternal, addFloatWeight, addInt8Rows, addNamedConstant, type Edge, type Graph } from "../../onnx/graph.ts";
import * as ops from "../../onnx/ops.ts";
import type { Weight } from "../../weights/view.ts";
import type { WeightStorage } from "../lowerings.ts";

/**
 * Products with fewer channels than this stay in fp32. They are those of what enters or leaves the network, such as latents: there is
 * little to save, and errors would go straight into the picture.
 */
export const fewestInt8Channels = 32;

/**
 * Whether the weight is a 1x1 convolution, which carries a map past a block. No norm has evened that map out, so errors would go on
 * as they are.
 */
export function carriesPast({ shape }: Weight): boolean {
  return shape.slice(2).every((taps) => taps === 1);
}

export function parameter(graph: Graph, weight: Weight, storage: WeightStorage): Edge {
  const { name, dtype, shape, isTransposed, scales, additions } = weight;
  if (isTransposed) {
    const { isTransposed: _, ...asStored } = weight;
    return ops.transpose(parameter(graph, { ...asStored, shape: shape.toReversed() }, storage), [1, 0]);
  }
  if (storage === "int8" && shape.length > 1 && Math.min(shape[0]!, shape[1]!) >= fewestInt8Channels) {
    const { bytes, scales } = addInt8Rows(graph, name, weight);
    return ops.dequantizeLinear(bytes, scales, 0);
  }
  // Whatever the storage, a sum with LoRAs is worked out once.
  if (additions || (storage !== "stored" && dtype !== "float32")) return addFloatWeight(graph, name, weight);
  const floats = ops.cast(addExternal(graph, name, dtype, shape, weight), "float32");
  if (!scales) return floats;
  const perOutput = shape.map((size, axis) => (axis === 0 ? size : 1));
  const scale = { dtype: "float32", shape: scales.length === 1 ? [1] : perOutput } as const;
  return ops.multiply(
    floats,
    addNamedConstant(graph, `${name}:stored scales`, scale, () => scales),
  );
}
