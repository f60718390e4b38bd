/** How do the CPU's lowerings hold a value? As the graph edges that hold its numbers, one a storage, made when first asked for. */
import type { Edge } from "../onnx/graph.ts";
import type { Lowering, Value } from "./lowering.ts";
import { convert, type Storage } from "./storage.ts";

export interface StoredValue extends Value {
  readonly edges: Partial<Record<Storage, Edge>>;
}

/** The edge that holds `x` in the storage asked for; a conversion is written once. */
export function stored(x: Value, storage: Storage): Edge {
  const { edges, shape } = x as StoredValue;
  const [from, edge] = firstStorage(x);
  edges[storage] ??= convert(edge, from, storage, shape);
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
  return Object.entries((x as StoredValue).edges)[0] as [Storage, Edge];
}

/** A storage in which both feature maps already lie, else one in which the second does. */
export function commonStorage(a: Value, b: Value): Storage {
  const [left, right] = [(a as StoredValue).edges, (b as StoredValue).edges];
  const storages = Object.keys(right) as Storage[];
  return storages.find((storage) => left[storage]) ?? storages[0]!;
}
