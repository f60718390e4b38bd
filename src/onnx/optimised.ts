/**
 * Which graphs does ONNX Runtime bring to the form that is fastest on the processor? Small ones that run often: their convolutions
 * become ones over blocks of channels, and their weights are brought to fp32 once.
 */
import { elementCount } from "../tensor.ts";
import type { Graph } from "./graph.ts";
import { channelBlocks } from "./operators/operator.ts";

/** More weights than these take too long, and too much memory, to be changed and kept. */
const mostWeights = 16e6;
/** Of a map that is not in blocks yet: larger ones leave the processor's cache, and bringing them there costs what it gains. */
const mostNumbers = 4.2e6;

interface Shaped {
  readonly shape: readonly number[];
}

/** Whether a network of these weights may be small enough, whatever its maps are. */
export function areFew(weights: Iterable<Shaped>): boolean {
  let count = 0;
  for (const { shape } of weights) count += elementCount(shape);
  return count <= mostWeights;
}

/** Marks a graph that is written to its end, if it is worth it. */
export function optimiseIfSmall(graph: Graph): void {
  const weights = Array.from(graph.initializers.values(), ({ value }) => value);
  if (graph.prepared.length > 0 || !areFew(weights)) return;
  const isInBlocks = graph.nodes.some(({ operator }) => operator.set === channelBlocks);
  graph.isOptimised = isInBlocks || [...graph.edges.values()].every(({ shape }) => elementCount(shape) <= mostNumbers);
}
