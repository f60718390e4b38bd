/** How much work is one run of a graph? Its multiplications, by the kind of operator that does them, and the bytes that it moves. */
import { type Graph, type GraphNode, typesOf } from "./graph.ts";
import { type KindOfWork, type Operator, sizeBytes } from "./operators/operator.ts";

export { type KindOfWork, kindsOfWork } from "./operators/operator.ts";

export interface GraphWork {
  readonly multiplications: Readonly<Record<KindOfWork, number>>;
  /** Read and written by all operators that compute. */
  readonly movedBytes: number;
}

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
  const multiplications = { product: 0, convolution: 0, attention: 0, int8Product: 0 };
  let movedBytes = 0;
  for (const node of graph.nodes) {
    const { multiplies, moves } = node.operator;
    movedBytes += bytesMoved[moves](graph, node);
    if (multiplies !== "nothing") multiplications[multiplies.kind] += multiplies.count(typesOf(graph, node));
  }
  return { multiplications, movedBytes };
}

const bytesMoved: Readonly<Record<Operator["moves"], (graph: Graph, node: GraphNode) => number>> = {
  nothing: () => 0,
  "what it takes out": (graph, { outputs }) => 2 * bytesOf(graph, outputs),
  all(graph, { inputs, outputs }) {
    const read = inputs.filter((name) => name !== "" && !graph.initializers.has(name));
    return bytesOf(graph, read) + bytesOf(graph, outputs);
  },
};

function bytesOf({ edges }: Graph, names: readonly string[]): number {
  return names.reduce((sum, name) => sum + sizeBytes(edges.get(name)!), 0);
}
