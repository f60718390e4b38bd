/** How do the CPU's lowerings hold a value? As graph edges, one for each storage, each made when it is first asked for. */
import type { Edge } from "../../onnx/graph.ts";
import * as ops from "../../onnx/ops.ts";
import type { Lowering, Value } from "../lowering.ts";
import { byFrames, convert, type Storage } from "./storage.ts";

type Edges = Partial<Record<Storage, Edge>>;

export interface StoredValue extends Value {
  /** A value in parts has only the edges that somebody asked for, so ask with {@link stored}. */
  readonly edges: Edges;
  /** Pieces of the first axis that were made one by one. A value has edges, parts or both. */
  readonly parts?: readonly Part[];
  /** A result that is not written before somebody asks for it, since what is added to it may go into its operator. */
  readonly unwritten?: Unwritten;
}

interface Unwritten {
  readonly storage: Storage;
  /** Of a number each a channel. */
  readonly bias: Edge | undefined;
  /** @param sum a map in the same storage, which is added */
  write(bias: Edge | undefined, sum?: Edge): Edge;
}

interface Part {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly value: Value;
}

/** The edge that holds `x` in the storage asked for; a conversion is written once. */
export function stored(x: Value, storage: Storage): Edge {
  const edges = edgesOf(x);
  const [from, edge] = firstStorage(x);
  edges[storage] ??= convert(edge, from, storage, x.shape);
  return edges[storage];
}

/** The result of `write`, which gets the values with another lowering of the same graph. The result has the lowering of the values. */
export function writtenBy(
  other: Lowering,
  values: readonly Value[],
  write: (values: readonly Value[]) => Value,
): StoredValue {
  const result = write(values.map((each) => ({ ...each, lowering: other })));
  return { ...(result as StoredValue), lowering: values[0]!.lowering };
}

/** The storage that the value was made in. */
export function firstStorage(x: Value): [Storage, Edge] {
  return Object.entries(edgesOf(x))[0] as [Storage, Edge];
}

/** A storage of the value in which its items are the first axis. In `clip`, frames are not. */
function itemsFirst(x: Value): Storage {
  return byFrames(firstStorage(x)[0]);
}

/** The value's edges, at least one: parts are joined here if there is none yet. */
function edgesOf(x: Value): Edges {
  const { edges, parts, unwritten } = x as StoredValue;
  if (Object.keys(edges).length > 0) return edges;
  if (unwritten) edges[unwritten.storage] = unwritten.write(unwritten.bias);
  if (parts) {
    const storage = itemsFirst(parts[0]!.value);
    edges[storage] = ops.concat(
      parts.map(({ value }) => stored(value, storage)),
      0,
    );
  }
  return edges;
}

/** How the value will be written, if it is not yet. */
export function unwrittenOf(x: Value): Unwritten | undefined {
  const { edges, unwritten } = x as StoredValue;
  return Object.keys(edges).length > 0 ? undefined : unwritten;
}

/** Items `start` to `end` (exclusive) of the first axis. */
export function itemsOf(x: Value, start: number, end: number): Value {
  const part = (x as StoredValue).parts?.find((each) => each.start === start && each.end === end);
  if (part) return { ...part.value, lowering: x.lowering };
  const storage = itemsFirst(x);
  const edges = { [storage]: ops.slice(stored(x, storage), 0, start, end) };
  return { lowering: x.lowering, shape: x.shape.with(0, end - start), edges } as StoredValue;
}

/** The value's first item, `count` times. */
export function repeated(x: Value, count: number): StoredValue {
  const storage = itemsFirst(x);
  const edge = stored(x, storage);
  const edges = { [storage]: ops.expand(edge, edge.shape.with(0, count)) };
  return { lowering: x.lowering, shape: x.shape.with(0, count), edges };
}

/** A storage in which both feature maps already are, else one in which the second is. */
export function commonStorage(a: Value, b: Value): Storage {
  const [left, right] = [edgesOf(a), edgesOf(b)];
  const storages = Object.keys(right) as Storage[];
  return storages.find((storage) => left[storage]) ?? storages[0]!;
}
