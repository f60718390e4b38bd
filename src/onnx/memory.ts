/**
 * How much memory will a graph take? The weights in working precision, and what comes on top: while it is loaded, prepared
 * weights a second time, which the session packs for itself; while it runs, the buffers that it holds at once.
 */
import { bytesPerElement, elementCount } from "../tensor.ts";
import { constantsOf, peakBufferBytes } from "./buffers.ts";
import type { Edge, Graph } from "./graph.ts";

/** What a session holds beside its weights: threads and tables, something for each node, and the holes between blocks. */
const sessionBytes = 10e6;
const nodeBytes = 10e3;
const holes = 1.04;

/** While a weight is brought to its final form, it is there as it was stored, as it was read and as it is packed. */
const formsOfWeight = 3;

export interface GraphMemory {
  /** Held from loading to release. */
  readonly weightsBytes: number;
  /** The most that loading or a run takes beside them. */
  readonly activationBytes: number;
}

/** The most bytes that loading and running the graph takes. */
export function estimateMemory(graph: Graph): number {
  const { weightsBytes, activationBytes } = memoryOf(graph);
  return weightsBytes + activationBytes;
}

const known = new WeakMap<Graph, GraphMemory>();

/** Of a graph that is written to its end. */
export function memoryOf(graph: Graph): GraphMemory {
  const memory = known.get(graph) ?? measure(graph);
  known.set(graph, memory);
  return memory;
}

function measure(graph: Graph): GraphMemory {
  const weights = weightsOf(graph).map(sizeBytes);
  const allWeights = weights.reduce((sum, each) => sum + each, 0);
  const preparedBytes = graph.prepared.reduce((sum, { matrix }) => sum + sizeBytes(graph.edges.get(matrix)!), 0);
  const loadBytes = preparedBytes + formsOfWeight * weights.reduce((largest, each) => Math.max(largest, each), 0);
  return {
    weightsBytes: sessionBytes + nodeBytes * graph.nodes.length + holes * allWeights,
    activationBytes: Math.max(loadBytes, peakBufferBytes(graph)),
  };
}

/** The constants that a run reads, each once. */
function weightsOf(graph: Graph): Edge[] {
  const constants = constantsOf(graph);
  const running = graph.nodes.filter(({ outputs }) => !outputs.every((name) => constants.has(name)));
  const read = new Set(running.flatMap(({ inputs }) => inputs.filter((name) => constants.has(name))));
  return [...read].map((name) => graph.edges.get(name)!);
}

function sizeBytes({ shape, dtype }: Edge): number {
  return elementCount(shape) * bytesPerElement[dtype];
}
