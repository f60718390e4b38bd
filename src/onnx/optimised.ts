/**
 * Which graphs does ONNX Runtime bring to the form that is fastest on the processor? Small ones that run often: their convolutions
 * become ones over blocks of channels, and their weights are brought to fp32 once.
 */
import { elementCount } from "../tensor.ts";
import type { Graph } from "./graph.ts";

/** More weights than these take too long, and too much memory, to be changed and kept. */
const mostWeights = 16e6;
/** Of a map: larger ones leave the processor's cache, and bringing them to another layout costs what it gains. */
const mostNumbers = 4.2e6;

/** Marks a graph that is written to its end, if it is worth it. */
export function optimiseIfSmall(graph: Graph): void {
  const weights = [...graph.initializers.values()].reduce((sum, { value }) => sum + elementCount(value.shape), 0);
  if (graph.prepared.length > 0 || weights > mostWeights) return;
  graph.isOptimised = [...graph.edges.values()].every(({ shape }) => elementCount(shape) <= mostNumbers);
}
