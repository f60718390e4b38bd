/**
 * Which buffers does ONNX Runtime hold while a graph runs? Its memory planner, repeated on our graph.
 *
 * It walks the nodes once, in the order of a depth-first search from the results, and gives each output a buffer: that of
 * an input which the operator may overwrite and nobody else reads, else a free one that was made for the same shape and
 * element size, else a new one (`PlannerImpl` in onnxruntime/core/framework/allocation_planner.cc). A buffer that is used
 * again is held from its first use to its last, through all that lies between: buffers of many shapes pile up.
 */
import { bytesPerElement, type DataType, elementCount, sameShape } from "../tensor.ts";
import type { Edge, Graph } from "./graph.ts";

interface Step {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly order: number;
}

/** Names of values that are the same at each run: ONNX Runtime works them out when a session starts. */
export function constantsOf(graph: Graph): ReadonlySet<string> {
  const constants = new Set(graph.initializers.keys());
  for (const node of graph.nodes) {
    if (!node.inputs.every((name) => name === "" || constants.has(name))) continue;
    for (const name of node.outputs) constants.add(name);
  }
  return constants;
}

/** The most bytes that buffers of one run take at a time, inputs and results included. */
export function peakBufferBytes(graph: Graph): number {
  const constants = constantsOf(graph);
  const steps = inExecutionOrder(stepsOf(graph, constants));
  const shapes = shapesAfterOptimisation(graph, steps);
  const sizeOf = (name: string) => elementCount(shapes(name).shape) * bytesPerElement[shapes(name).dtype];
  const results = new Set(graph.outputs.map(({ name }) => name));
  const inputs = new Set(graph.inputs.map(({ name }) => name));

  const uses = new Map<string, number>();
  const bufferOf = new Map<string, string>();
  const readsOf = ({ inputs }: Step) => inputs.filter((name) => name !== "" && !constants.has(name));
  for (const { name } of graph.inputs) bufferOf.set(name, name);
  for (const name of [...inputs, ...results]) count(uses, name, 1);
  for (const step of steps) for (const name of [...readsOf(step), ...step.outputs]) count(uses, name, 1);

  /** The latest free first. */
  const free: string[] = [];
  const held = new Map<string, { from: number; to: number }>();
  const scratch = steps.map((step) => scratchBytes(step, shapes));
  for (const [now, step] of steps.entries()) {
    const reads = readsOf(step);
    for (const name of step.outputs) {
      const overwritten = results.has(name)
        ? undefined
        : overwrittenInput(step, name, reads, { uses, bufferOf, shapes });
      const buffer = results.has(name) ? name : (overwritten ?? takeFree(free, name, shapes) ?? name);
      if (buffer !== name) count(uses, buffer, uses.get(name)!);
      else held.set(name, { from: now, to: results.has(name) ? steps.length : now });
      bufferOf.set(name, buffer);
    }
    for (const name of [...reads, ...step.outputs]) {
      const buffer = bufferOf.get(name)!;
      const span = held.get(buffer);
      if (span) span.to = Math.max(span.to, now);
      if (count(uses, buffer, -1) === 0) free.unshift(buffer);
    }
  }

  const changes = new Float64Array(steps.length + 2);
  for (const [name, { from, to }] of held) {
    changes[from]! += sizeOf(name);
    changes[to + 1]! -= sizeOf(name);
  }
  let now = graph.inputs.reduce((sum, { name }) => sum + sizeOf(name), 0);
  let peak = now;
  for (const [index, change] of changes.entries()) {
    now += change;
    peak = Math.max(peak, now + (scratch[index] ?? 0));
  }
  return peak;
}

function count(uses: Map<string, number>, name: string, change: number): number {
  const result = (uses.get(name) ?? 0) + change;
  uses.set(name, result);
  return result;
}

/** Operators whose result is another view of their first input. */
const views = ["Reshape", "Identity"];
/** Inputs that an operator's kernel may overwrite: `MayInplace` of its definition. Sums and products are not among them. */
const overwrites: Readonly<Record<string, readonly number[]>> = { Sigmoid: [0], Cast: [0], ConvAdd: [3] };

type ShapeOf = (name: string) => { readonly shape: readonly number[]; readonly dtype: DataType };

function overwrittenInput(
  { operator, inputs }: Step,
  output: string,
  reads: readonly string[],
  { uses, bufferOf, shapes }: { uses: Map<string, number>; bufferOf: Map<string, string>; shapes: ShapeOf },
): string | undefined {
  if (views.includes(operator)) return bufferOf.get(inputs[0]!);
  const candidates = (overwrites[operator] ?? []).map((index) => inputs[index]!).filter((name) => reads.includes(name));
  const last = candidates.find(
    (name) => uses.get(bufferOf.get(name)!) === 1 && isSameSize(shapes(name), shapes(output)),
  );
  return last === undefined ? undefined : bufferOf.get(last);
}

function takeFree(free: string[], name: string, shapes: ShapeOf): string | undefined {
  const wanted = shapes(name);
  if (wanted.shape.length === 0) return undefined;
  const at = free.findIndex((buffer) => isSameSize(shapes(buffer), wanted));
  return at < 0 ? undefined : free.splice(at, 1)[0];
}

function isSameSize(a: ReturnType<ShapeOf>, b: ReturnType<ShapeOf>): boolean {
  return bytesPerElement[a.dtype] === bytesPerElement[b.dtype] && sameShape(a.shape, b.shape);
}

/** What attention copies for itself: queries, keys and values, head by head. */
function scratchBytes({ operator, inputs }: Step, shapes: ShapeOf): number {
  if (operator !== "MultiHeadAttention") return 0;
  return inputs.reduce((sum, name) => sum + elementCount(shapes(name).shape) * bytesPerElement[shapes(name).dtype], 0);
}

/** The nodes that a run passes through, fused as ONNX Runtime does. */
function stepsOf(graph: Graph, constants: ReadonlySet<string>): Step[] {
  const readers = new Map<string, number>();
  for (const { inputs } of graph.nodes) for (const name of inputs) count(readers, name, 1);
  const renamed = new Map<string, string>();
  let steps: Step[] = [];
  for (const [order, { operator, inputs, outputs }] of graph.nodes.entries()) {
    if (outputs.every((name) => constants.has(name))) continue;
    // A result takes its name at once where nobody else reads the value.
    if (operator === "Identity" && readers.get(inputs[0]!) === 1) renamed.set(inputs[0]!, outputs[0]!);
    else steps.push({ operator, inputs, outputs, order });
  }
  const isGiven = new Set(graph.inputs.map(({ name }) => name));
  steps = steps.map((step) => ({ ...step, outputs: step.outputs.map((name) => renamed.get(name) ?? name) }));
  return fuseSums(graph, steps, readers, isGiven);
}

/** A sum with the result of a convolution becomes a part of it, written over the other summand. */
function fuseSums(
  graph: Graph,
  steps: readonly Step[],
  readers: ReadonlyMap<string, number>,
  given: ReadonlySet<string>,
): Step[] {
  const producers = new Map(steps.flatMap((step) => step.outputs.map((name) => [name, step] as const)));
  const fused = new Set<Step>();
  const shapeOf = (name: string) => graph.edges.get(name)!.shape;
  const merged = steps.map((step) => {
    if (step.operator !== "Add" || !sameShape(shapeOf(step.inputs[0]!), shapeOf(step.inputs[1]!))) return step;
    const convolution = step.inputs
      .map((name) => producers.get(name))
      .find((producer) => producer?.operator === "Conv" && readers.get(producer.outputs[0]!) === 1);
    const other = step.inputs.find((name) => name !== convolution?.outputs[0]);
    if (!convolution || other === undefined || given.has(other)) return step;
    fused.add(convolution);
    const [x, weight, bias = ""] = convolution.inputs as [string, string, string?];
    const inputs = [x, weight, bias, other];
    return { operator: "ConvAdd", inputs, outputs: step.outputs, order: graph.nodes.length + step.order };
  });
  return merged.filter((step) => !fused.has(step));
}

/** Depth first from the results, of a step's inputs the one written last first (`Graph::ReverseDFSFrom`). */
function inExecutionOrder(steps: readonly Step[]): Step[] {
  const producers = new Map(steps.flatMap((step) => step.outputs.map((name) => [name, step] as const)));
  const read = new Set(steps.flatMap(({ inputs }) => inputs));
  const producersOf = ({ inputs }: Step) =>
    [...new Set(inputs.flatMap((name) => producers.get(name) ?? []))].toSorted((a, b) => a.order - b.order);
  const isLeaf = ({ outputs }: Step) => outputs.every((name) => !read.has(name));
  const stack = steps.filter(isLeaf).map((step) => ({ step, isDone: false }));
  const visited = new Set<Step>();
  const ordered: Step[] = [];
  for (let top = stack.pop(); top; top = stack.pop()) {
    const { step, isDone } = top;
    if (isDone) ordered.push(step);
    if (isDone || visited.has(step)) continue;
    visited.add(step);
    stack.push({ step, isDone: true }, ...producersOf(step).map((producer) => ({ step: producer, isDone: false })));
  }
  return ordered;
}

/** A transposition that only a Reshape reads has its axes split before it, so that the Reshape is needed no longer. */
function shapesAfterOptimisation(graph: Graph, steps: readonly Step[]): ShapeOf {
  const readers = new Map<string, Step[]>();
  for (const step of steps) for (const name of step.inputs) readers.set(name, [...(readers.get(name) ?? []), step]);
  const changed = new Map<string, Edge>();
  for (const { operator, outputs } of steps) {
    const [reader, other] = readers.get(outputs[0]!) ?? [];
    if (operator !== "Transpose" || reader?.operator !== "Reshape" || other) continue;
    const before = graph.edges.get(outputs[0]!)!;
    const after = graph.edges.get(reader.outputs[0]!)!;
    if (isSplitOf(before.shape, after.shape)) changed.set(outputs[0]!, after);
  }
  return (name) => changed.get(name) ?? graph.edges.get(name)!;
}

/** Whether each axis of `whole` is the product of neighbouring axes of `parts`. */
function isSplitOf(whole: readonly number[], parts: readonly number[]): boolean {
  let at = 0;
  for (const size of whole) {
    let product = 1;
    while (at < parts.length && (product < size || parts[at] === 1)) product *= parts[at++]!;
    if (product !== size) return false;
  }
  return at === parts.length;
}
