/** How do the CPU's lowerings hold a value? As the graph edges that hold its numbers, one a storage, made when first asked for. */
import type { Edge } from "../../onnx/graph.ts";
import * as ops from "../../onnx/ops.ts";
import type { Lowering, Value } from "../lowering.ts";
import { convert, type Storage } from "./storage.ts";

type Edges = Partial<Record<Storage, Edge>>;

export interface StoredValue extends Value {
  /** Of a value in parts only what was asked for: use {@link stored} and its like. */
  readonly edges: Edges;
  /** Items on the first axis that were made apart; a value has edges, parts or both. */
  readonly parts?: readonly Part[];
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

/** What `write` makes of values with another lowering of the same graph; the result goes on with theirs. */
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

/** A storage in which the value's items are the first axis; a clip's frames are not. */
function itemsFirst(x: Value): Storage {
  const [made] = firstStorage(x);
  return made === "clip" ? "first" : made;
}

/** With at least one edge: parts are put together when somebody asks for all of them. */
function edgesOf(x: Value): Edges {
  const { edges, parts } = x as StoredValue;
  if (parts && Object.keys(edges).length === 0) {
    const storage = itemsFirst(parts[0]!.value);
    edges[storage] = ops.concat(
      parts.map(({ value }) => stored(value, storage)),
      0,
    );
  }
  return edges;
}

/** Items `start` to `end` (exclusive) of the first axis. */
export function itemsOf(x: Value, start: number, end: number): Value {
  const part = (x as StoredValue).parts?.find((each) => each.start === start && each.end === end);
  if (part) return { ...part.value, lowering: x.lowering };
  const storage = itemsFirst(x);
  const edges = { [storage]: ops.slice(stored(x, storage), 0, start, end) };
  return { lowering: x.lowering, shape: x.shape.with(0, end - start), edges } as StoredValue;
}

/** The first item, `count` times. */
export function repeated(x: Value, count: number): StoredValue {
  const storage = itemsFirst(x);
  const edge = stored(x, storage);
  const edges = { [storage]: ops.expand(edge, edge.shape.with(0, count)) };
  return { lowering: x.lowering, shape: x.shape.with(0, count), edges };
}

/** A storage in which both feature maps already lie, else one in which the second does. */
export function commonStorage(a: Value, b: Value): Storage {
  const [left, right] = [edgesOf(a), edgesOf(b)];
  const storages = Object.keys(right) as Storage[];
  return storages.find((storage) => left[storage]) ?? storages[0]!;
}
