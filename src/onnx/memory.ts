/**
 * How much memory will a graph take? The weights in working precision, and what comes on top: while it is loaded, prepared
 * weights a second time, which the session packs for itself; while it runs, the most that is alive at once.
 */
import { bytesPerElement, elementCount } from "../tensor.ts";
import type { Edge, Graph } from "./graph.ts";

/** What ONNX Runtime holds beside weights and activations: its own code, kernels' scratch, the arena's rounding. */
export const overheadBytes = 300e6;
const arenaSlack = 1.15;

export interface GraphMemory {
  /** Held from loading to release. */
  readonly weightsBytes: number;
  /** The most that a run takes beside them. */
  readonly activationBytes: number;
}

/** Peak bytes of a process that loads and runs the graph. */
export function estimateMemory(graph: Graph): number {
  const { weightsBytes, activationBytes } = memoryOf(graph);
  return overheadBytes + weightsBytes + activationBytes;
}

export function memoryOf(graph: Graph): GraphMemory {
  const constants = new Set(graph.initializers.keys());
  const lastUse = new Map<string, number>();
  for (const [position, node] of graph.nodes.entries()) {
    if (node.inputs.every((name) => name === "" || constants.has(name))) {
      for (const name of node.outputs) constants.add(name);
    }
    for (const name of node.inputs) lastUse.set(name, position);
  }

  let weightsBytes = 0;
  let aliveBytes = graph.inputs.reduce((sum, input) => sum + sizeBytes(input), 0);
  let peakBytes = aliveBytes;
  const counted = new Set<string>();
  for (const [position, node] of graph.nodes.entries()) {
    if (node.outputs.every((name) => constants.has(name))) continue;
    for (const name of node.outputs) aliveBytes += sizeBytes(graph.edges.get(name)!);
    peakBytes = Math.max(peakBytes, aliveBytes);
    for (const name of new Set(node.inputs)) {
      if (constants.has(name) && !counted.has(name)) weightsBytes += sizeBytes(graph.edges.get(name)!);
      counted.add(name);
      if (!constants.has(name) && name !== "" && lastUse.get(name) === position) {
        aliveBytes -= sizeBytes(graph.edges.get(name)!);
      }
    }
  }
  const preparedBytes = graph.prepared.reduce((sum, { matrix }) => sum + sizeBytes(graph.edges.get(matrix)!), 0);
  return { weightsBytes, activationBytes: Math.max(preparedBytes, arenaSlack * peakBytes) };
}

function sizeBytes({ shape, dtype }: Edge): number {
  return elementCount(shape) * bytesPerElement[dtype];
}
