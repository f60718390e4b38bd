/**
 * How much memory will a graph take? The weights, in the form that the session reads, and what comes on top: while it is
 * loaded int8 matrices a second time, which it packs; while it runs the buffers that it holds at once.
 */
import { elementCount } from "../tensor.ts";
import { peakBufferBytes } from "./buffers.ts";
import type { Edge, Graph } from "./graph.ts";
import { sizeBytes } from "./operators/operator.ts";
import { packedTensors, threadBytes } from "./weight-recipes.ts";

/** What a session holds beside its weights: threads and tables, and something for each node. */
const sessionBytes = 10e6;
const nodeBytes = 10e3;

/** A number of a weight that a session has optimised: in fp32, and again in the form that kernels want. */
const optimisedBytes = 8;

export interface GraphMemory {
  /** Held from loading to release. */
  readonly weightsBytes: number;
  /** The most that loading or a run takes beside them. */
  readonly activationBytes: number;
  /** What a run takes of that. */
  readonly runBytes: number;
  /** What loading takes of that, and what on top of it for each thread that works weights out. */
  readonly loadBytes: number;
  readonly loadThreadBytes: number;
}

const known = new WeakMap<Graph, GraphMemory>();

/** Of a graph that is written to its end. */
export function memoryOf(graph: Graph): GraphMemory {
  const memory = known.get(graph) ?? measure(graph);
  known.set(graph, memory);
  return memory;
}

/** Of graphs of which one is loaded at a time. */
export function loadedInTurn(needs: readonly GraphMemory[]): GraphMemory {
  return { ...loadedTogether(needs), weightsBytes: Math.max(...needs.map(({ weightsBytes }) => weightsBytes)) };
}

/** Of graphs that are loaded at the same time and run one after the other. */
export function loadedTogether(needs: readonly GraphMemory[]): GraphMemory {
  const largest = (name: keyof GraphMemory) => Math.max(...needs.map((need) => need[name]));
  return {
    weightsBytes: needs.reduce((sum, { weightsBytes }) => sum + weightsBytes, 0),
    activationBytes: largest("activationBytes"),
    runBytes: largest("runBytes"),
    loadBytes: largest("loadBytes"),
    loadThreadBytes: largest("loadThreadBytes"),
  };
}

function measure(graph: Graph): GraphMemory {
  const bytesOf = graph.isOptimised ? ({ shape }: Edge) => optimisedBytes * elementCount(shape) : sizeBytes;
  const weightsBytes = [...graph.initializers.values()].reduce((sum, { value }) => sum + bytesOf(value), 0);
  const packedBytes = packedTensors(graph.prepared).reduce((sum, made) => sum + sizeBytes(made), 0);
  const runBytes = peakBufferBytes(graph);
  return {
    weightsBytes: sessionBytes + nodeBytes * graph.nodes.length + weightsBytes,
    activationBytes: Math.max(packedBytes, runBytes),
    runBytes,
    loadBytes: packedBytes,
    loadThreadBytes: Math.max(0, ...graph.prepared.map(threadBytes)),
  };
}
