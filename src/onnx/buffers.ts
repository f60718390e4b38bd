/**
 * Which buffers does ONNX Runtime hold while a graph runs? Its memory planner, repeated on our graph.
 *
 * It walks the nodes once, in the order of a depth-first search from the results, and gives each output a buffer: that of
 * an input which the operator may overwrite and nobody else reads, else a free one that was made for the same shape and
 * element size, else a new one (`PlannerImpl` in onnxruntime/core/framework/allocation_planner.cc). A buffer that is used
 * again is held from its first use to its last, through all that lies between: buffers of many shapes pile up.
 */
import { bytesPerElement, sameShape } from "../tensor.ts";
import { type Edge, type Graph, type GraphNode, nodesInOrder, typesOf } from "./graph.ts";
import { sizeBytes } from "./operators/operator.ts";

type Step = GraphNode & { readonly order: number };

/**
 * The most bytes that buffers of one run take at a time, inputs and results included.
 *
 * @param elsewhere inputs and results that lie in memory which is not counted
 */
export function peakBufferBytes(graph: Graph, elsewhere: ReadonlySet<string> = new Set()): number {
  const steps = inExecutionOrder(nodesInOrder(graph).map((node, order) => ({ ...node, order })));
  const shapes = (name: string) => graph.edges.get(name)!;
  const sizeOf = (name: string) => (elsewhere.has(name) ? 0 : sizeBytes(shapes(name)));
  const results = new Set(graph.outputs.map(({ name }) => name));
  const inputs = new Set(graph.inputs.map(({ name }) => name));

  const uses = new Map<string, number>();
  const bufferOf = new Map<string, string>();
  const readsOf = ({ inputs }: Step) => inputs.filter((name) => name !== "" && !graph.initializers.has(name));
  for (const { name } of graph.inputs) bufferOf.set(name, name);
  for (const name of [...inputs, ...results]) count(uses, name, 1);
  for (const step of steps) for (const name of [...readsOf(step), ...step.outputs]) count(uses, name, 1);

  /** The latest free first. */
  const free: string[] = [];
  const held = new Map<string, { from: number; to: number }>();
  const scratch = steps.map((step) => scratchBytes(graph, step));
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

type ShapeOf = (name: string) => Edge;

function overwrittenInput(
  { operator, inputs }: Step,
  output: string,
  reads: readonly string[],
  { uses, bufferOf, shapes }: { uses: Map<string, number>; bufferOf: Map<string, string>; shapes: ShapeOf },
): string | undefined {
  const { buffer } = operator;
  if (buffer === "own") return undefined;
  if (buffer === "view") return bufferOf.get(inputs[0]!);
  const candidates = buffer.overwrites.map((index) => inputs[index]!).filter((name) => reads.includes(name));
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

function scratchBytes(graph: Graph, step: Step): number {
  const { scratch } = step.operator;
  return scratch === "none" ? 0 : scratch.bytes(typesOf(graph, step));
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
