/** How is an ONNX graph held while it is written? A list of nodes over values that know their dtype and static shape. */
import { StillmotionError } from "../errors.ts";
import { bytesPerElement, type DataType, elementCount, sameShape, type Tensor } from "../tensor.ts";
import { dtypesGiven } from "./operators/dtype-rules.ts";
import {
  type Attributes,
  moving,
  type NoAttributes,
  type NodeTypes,
  type Operator,
  onnx,
} from "./operators/operator.ts";
import type { NamedWeight, StoredWeight } from "./stored-weight.ts";
import {
  floatWeight,
  int8Matrix,
  int8Rows,
  type MadeTensor,
  type PreparedWeight,
  type TapSums,
} from "./weight-recipes.ts";

/** An edge of the graph: produced by one node, an input or an initializer. */
export interface Edge {
  readonly graph: Graph;
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: readonly number[];
}

export interface GraphNode {
  readonly operator: Operator;
  /** Names of edges, empty for an optional one that is absent. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
}

/** A size in the shape of a graph's input that each run brings anew. */
export const anySize = -1;

/** Where the bytes of an external initializer lie: a bare file name in the model's weights folder. */
export interface ExternalData {
  readonly file: string;
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface Initializer {
  readonly value: Edge;
  /** Prepared ones are worked out of one of the graph's prepared weights, which lies in the file named, before a session starts. */
  readonly data: Tensor["data"] | ExternalData | { readonly preparedFrom: string };
}

/** A graph in the making. Change it through the functions of this file only. */
export interface Graph {
  readonly name: string;
  readonly nodes: GraphNode[];
  readonly initializers: Map<string, Initializer>;
  /** Weights whose initializers are worked out before a session starts. */
  readonly prepared: PreparedWeight[];
  /** Every edge by its name. */
  readonly edges: Map<string, Edge>;
  readonly inputs: Edge[];
  readonly outputs: Edge[];
  /** Whether a session may change it to what is faster on its processor; see optimised.ts. */
  isOptimised: boolean;
}

export function createGraph(name: string): Graph {
  return {
    name,
    nodes: [],
    initializers: new Map(),
    prepared: [],
    edges: new Map(),
    inputs: [],
    outputs: [],
    isOptimised: false,
  };
}

/**
 * Nodes as ONNX Runtime gets them, what is made of weights alone first: it orders them by their place, inputs of later ones
 * first, so that such values are made right before their use and not all of them before anything else.
 */
export function nodesInOrder(graph: Graph): readonly GraphNode[] {
  const first = new Set(nodesOfWeights(graph));
  return [...first, ...graph.nodes.filter((node) => !first.has(node))];
}

/** Those that read weights alone, or what such nodes make. */
export function nodesOfWeights({ nodes, initializers }: Graph): GraphNode[] {
  const ofWeights = new Set<string>();
  return nodes.filter(({ inputs, outputs }) => {
    const isSo = inputs.every((name) => name === "" || initializers.has(name) || ofWeights.has(name));
    if (isSo) for (const name of outputs) ofWeights.add(name);
    return isSo;
  });
}

export function addInput(graph: Graph, name: string, dtype: DataType, shape: readonly number[]): Edge {
  const input = edge(graph, name, dtype, shape);
  graph.inputs.push(input);
  return input;
}

/** A view as `Reshape` gives it, but a result has a buffer of its own, into which it copies. */
const identity: Operator = { name: "Identity", set: onnx, takes: ["T"], gives: ["T"], ...moving, buffer: "view" };

/** Names `value` as a result of the graph. An Identity node gives it the name that callers will ask for. */
export function addOutput(graph: Graph, name: string, value: Edge): void {
  graph.nodes.push({ operator: identity, inputs: [value.name], outputs: [name], attributes: {} });
  graph.outputs.push(edge(graph, name, value.dtype, value.shape));
}

/** An initializer that the graph carries itself. Equal constants are stored once. */
export function addConstant(graph: Graph, tensor: Tensor): Edge {
  return addNamedConstant(graph, contentName(tensor), tensor, () => tensor.data);
}

/** The same where a name says which are equal, so that large ones are made once. */
export function addNamedConstant(
  graph: Graph,
  name: string,
  { dtype, shape }: Pick<Tensor, "dtype" | "shape">,
  make: () => Tensor["data"],
): Edge {
  const existing = existingInitializer(graph, name, dtype, shape);
  if (existing) return existing;
  const value = edge(graph, name, dtype, shape);
  graph.initializers.set(name, { value, data: make() });
  return value;
}

/** An initializer whose bytes stay in a weights file. Asking twice for one name gives the same value. */
export function addExternal(
  graph: Graph,
  name: string,
  dtype: DataType,
  shape: readonly number[],
  data: ExternalData,
): Edge {
  const existing = existingInitializer(graph, name, dtype, shape);
  if (existing) return existing;
  const expected = elementCount(shape) * bytesPerElement[dtype];
  if (expected !== data.sizeBytes) {
    throw graphError(graph, `${name} [${shape}] ${dtype} needs ${expected} bytes, its file gives ${data.sizeBytes}`);
  }
  const value = edge(graph, name, dtype, shape);
  graph.initializers.set(name, { value, data });
  return value;
}

/** The weights whose bytes stay in their files. */
export function storedWeights({ initializers }: Graph): NamedWeight[] {
  return Array.from(initializers.values()).flatMap(({ value: { name, dtype, shape }, data }) => {
    return "file" in data ? [{ name, dtype, shape, file: data.file, offset: data.offset }] : [];
  });
}

/** A stored weight as float32. Asking twice for one name gives the same value. */
export function addFloatWeight(graph: Graph, name: string, source: StoredWeight): Edge {
  const weight = floatWeight(name, source);
  return addPrepared(graph, weight, [weight.values])[0]!;
}

interface Int8Edges {
  readonly bytes: Edge;
  /** (outputs) */
  readonly scales: Edge;
}

/**
 * A stored weight as int8 (taps * inputs, outputs) with a scale for each output. Asking twice for one name gives the same values.
 *
 * @param tapSums sums of the kernel's taps that take their place
 */
export function addInt8Matrix(graph: Graph, name: string, source: StoredWeight, tapSums?: TapSums): Int8Edges {
  return addInt8(graph, int8Matrix(name, source, tapSums));
}

/** The same in the weight's own shape. */
export function addInt8Rows(graph: Graph, name: string, source: StoredWeight): Int8Edges {
  return addInt8(graph, int8Rows(name, source));
}

function addInt8(graph: Graph, weight: ReturnType<typeof int8Matrix | typeof int8Rows>): Int8Edges {
  const [bytes, scales] = addPrepared(graph, weight, [weight.values, weight.scales]) as [Edge, Edge];
  return { bytes, scales };
}

function addPrepared(graph: Graph, weight: PreparedWeight, made: readonly MadeTensor[]): Edge[] {
  const { name, dtype, shape } = weight.values;
  if (!existingInitializer(graph, name, dtype, shape)) {
    for (const { name, dtype, shape } of made) {
      const value = edge(graph, name, dtype, shape);
      graph.initializers.set(name, { value, data: { preparedFrom: weight.source.file } });
    }
    graph.prepared.push(weight);
  }
  return made.map(({ name }) => graph.edges.get(name)!);
}

function existingInitializer(graph: Graph, name: string, dtype: DataType, shape: readonly number[]): Edge | undefined {
  const value = graph.initializers.get(name)?.value;
  if (value && (value.dtype !== dtype || !sameShape(value.shape, shape))) {
    throw graphError(graph, `${name} is asked for as ${dtype} [${shape}] and as ${value.dtype} [${value.shape}]`);
  }
  return value;
}

/** Of an operator's attributes those that it must have, or none. */
type Given<Needed extends Attributes> = NoAttributes extends Needed ? [attributes?: Needed] : [attributes: Needed];

/** Appends a node whose only result has the shape given. Its dtype is that which the operator gives. */
export function addNode<Needed extends Attributes = NoAttributes>(
  operator: Operator<Needed>,
  inputs: readonly (Edge | undefined)[],
  shape: readonly number[],
  ...attributes: Given<Needed>
): Edge {
  return addNodeWithOutputs(operator, inputs, [shape], ...attributes)[0]!;
}

/** Appends a node with a result for each shape. */
export function addNodeWithOutputs<Needed extends Attributes = NoAttributes>(
  operator: Operator<Needed>,
  inputs: readonly (Edge | undefined)[],
  shapes: readonly (readonly number[])[],
  ...[attributes]: Given<Needed>
): Edge[] {
  const graph = inputs.find((input) => input !== undefined)?.graph;
  if (!graph) throw new StillmotionError("internal", `${operator.name}: a node needs at least one input`);
  // An optional input that is absent has an empty name, and none where no other follows.
  const given = inputs.slice(0, inputs.findLastIndex((input) => input !== undefined) + 1);
  const dtypes = dtypesGiven(operator, given, (problem) => graphError(graph, problem));
  const name = `${operator.name}:${graph.nodes.length}`;
  const outputs = shapes.map((_, index) => (index === 0 ? name : `${name}.${index}`));
  graph.nodes.push({
    operator,
    inputs: given.map((input) => input?.name ?? ""),
    outputs,
    attributes: attributes ?? {},
  });
  return shapes.map((shape, index) => edge(graph, outputs[index]!, dtypes[index]!, shape));
}

/** A node of the graph, as its operator's facts are worked out for it. */
export function typesOf({ edges }: Graph, { inputs, outputs, attributes }: GraphNode): NodeTypes {
  return {
    inputs: inputs.map((name) => edges.get(name)),
    outputs: outputs.map((name) => edges.get(name)!),
    attributes,
  };
}

function edge(graph: Graph, name: string, dtype: DataType, shape: readonly number[]): Edge {
  const created: Edge = { graph, name, dtype, shape };
  graph.edges.set(name, created);
  return created;
}

/** An error of the code that writes the graph; its stack shows the line. */
export function graphError(graph: Graph, message: string): StillmotionError {
  return new StillmotionError("internal", `graph ${graph.name}: ${message}`);
}

function contentName({ dtype, shape, data }: Tensor): string {
  return `constant:${dtype}[${shape.join(",")}]:${contentKey(data)}`;
}

/** A short exact key for small constants and a collision-safe one for large ones (FNV-1a over 64 bits and the length). */
function contentKey(data: Tensor["data"]): string {
  if (data.length <= 16) return Array.from<number | bigint, string>(data, String).join(",");
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return `${bytes.length}:${hash.toString(16)}`;
}
