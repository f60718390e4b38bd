/** How are shapes taken apart and compared? What the shape rules of operators share. */
import { type Edge, graphError } from "../graph.ts";

/** Of all axes, of which there must be so many. */
export function dimensions(x: Edge, rank: number): readonly number[] {
  if (x.shape.length !== rank) throw graphError(x.graph, `[${x.shape}] should have ${rank} axes`);
  return x.shape;
}

/** Of one axis, which must be there. */
export function size(x: Edge, axis: number): number {
  const length = x.shape[axis];
  if (length === undefined) throw graphError(x.graph, `[${x.shape}] has no axis ${axis}`);
  return length;
}

/** NumPy's broadcasting rule. */
export function broadcast(a: Edge, b: Pick<Edge, "shape">): number[] {
  const rank = Math.max(a.shape.length, b.shape.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a.shape[axis - rank + a.shape.length] ?? 1;
    const right = b.shape[axis - rank + b.shape.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw graphError(a.graph, `[${a.shape}] and [${b.shape}] do not broadcast`);
    }
    return left === 1 ? right : left;
  });
}
