/** How does one graph become several that run one after the other? Cut where each takes as long to load, if little goes across there. */
import { type Graph, type GraphNode, nodesOfWeights } from "./graph.ts";
import { sizeBytes } from "./operators/operator.ts";
import { packedTensors } from "./weight-recipes.ts";

/** What loading takes, in bytes of a matrix that is packed: a node, and a byte of one that was packed for another node before. */
const loadOfNode = 100e3;
const loadOfRepeatedByte = 0.35;

/** How far from an even share a cut may lie, as a part of all. */
const uneven = 0.03;

/**
 * The most that may lie on both sides of a cut. What goes across, and buffers that later nodes would have used again, are memory of its
 * own; where runs share no workspace it is touched for the first time in each.
 */
const acrossBytesAtMost = 256e6;

/**
 * At most `count` graphs. Run in their order they make what the whole one makes: each reads inputs of the whole one and what
 * earlier ones give, under the same names. All share the edges of the whole one, which must be written to its end.
 */
export function splitGraph(graph: Graph, count: number): Graph[] {
  const results = new Set(graph.outputs.map(({ name }) => name));
  const ofWeights = new Set(nodesOfWeights(graph).filter(({ outputs }) => !outputs.some((name) => results.has(name))));
  const producers = new Map(Array.from(ofWeights).flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const isValue = (name: string) => name !== "" && !graph.initializers.has(name) && !producers.has(name);
  const nodes = graph.nodes.filter((node) => !ofWeights.has(node));
  const cuts = placesToCut(graph, nodes, isValue, count);
  const parts = [0, ...cuts].map((start, part) => {
    const members = new Set(nodes.slice(start, cuts[part]));
    // What is made of weights alone is made in each part that reads it; a set's later members are visited too.
    for (const { inputs } of members)
      for (const name of inputs) if (producers.has(name)) members.add(producers.get(name)!);
    const own = Array.from(members);
    return {
      members,
      reads: new Set(own.flatMap(({ inputs }) => inputs)),
      makes: new Set(own.flatMap(({ outputs }) => outputs)),
    };
  });
  const edges = (names: Iterable<string>, isWanted: (name: string) => boolean) =>
    Array.from(names)
      .filter((name) => isValue(name) && isWanted(name))
      .map((name) => graph.edges.get(name)!);
  return parts.map(({ members, reads, makes }, part) => {
    const later = parts.slice(part + 1);
    return {
      ...graph,
      nodes: graph.nodes.filter((node) => members.has(node)),
      initializers: new Map(Array.from(graph.initializers).filter(([name]) => reads.has(name))),
      inputs: edges(reads, (name) => !makes.has(name)),
      outputs: edges(makes, (name) => results.has(name) || later.some((each) => each.reads.has(name))),
    };
  });
}

/** Before which nodes, by their place among `nodes`. */
function placesToCut(
  graph: Graph,
  nodes: readonly GraphNode[],
  isValue: (name: string) => boolean,
  count: number,
): number[] {
  const sizeOf = (name: string) => sizeBytes(graph.edges.get(name)!);
  const matrices = new Set(packedTensors(graph.prepared).map(({ name }) => name));
  const spans = new Map<string, { first: number; last: number }>();
  /** What loading all nodes before each one takes. */
  const loads = [0];
  for (const [place, { inputs, outputs }] of nodes.entries()) {
    let load = loadOfNode;
    for (const name of inputs) {
      if (matrices.has(name)) load += sizeOf(name) * (spans.has(name) ? loadOfRepeatedByte : 1);
      else if (!isValue(name)) continue;
      const span = spans.get(name) ?? { first: place, last: place };
      span.last = place;
      spans.set(name, span);
    }
    for (const name of outputs) spans.set(name, { first: place, last: place });
    loads.push(loads.at(-1)! + load);
  }
  // What lies in memory on both sides of a cut: values that go across, and matrices that both read.
  const changes = new Float64Array(nodes.length + 1);
  for (const [name, { first, last }] of spans) {
    changes[first + 1]! += sizeOf(name);
    changes[last + 1]! -= sizeOf(name);
  }
  let across = 0;
  const acrossBytes = Array.from(changes, (change) => (across += change));
  const total = loads.at(-1)!;
  const cuts: number[] = [];
  for (let cut = 1; cut < count; cut++) {
    const isNear = (place: number) => Math.abs(loads[place]! / total - cut / count) < uneven;
    const isNarrow = (place: number) => acrossBytes[place]! <= acrossBytesAtMost;
    const places = Array.from(nodes.keys()).filter(
      (place) => place > (cuts.at(-1) ?? 0) && isNear(place) && isNarrow(place),
    );
    if (places.length > 0) cuts.push(places.reduce((a, b) => (acrossBytes[b]! < acrossBytes[a]! ? b : a)));
  }
  return cuts;
}
