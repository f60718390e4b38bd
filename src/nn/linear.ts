/** How is a linear layer written? */
import type { Value } from "../lowering/lowering.ts";
import { rows, type Weights } from "../weights/view.ts";

/** Whether a layer has a bias. The network says so; it is never guessed from what a file holds. */
export type Bias = "with bias" | "without bias";

/** y = x W^T + b over the last axis. */
export function linear(w: Weights, x: Value, outputs: number, bias: Bias = "with bias"): Value {
  const weight = w.tensor("weight", [outputs, x.shape.at(-1)!]);
  return x.lowering.linear(x, weight, bias === "with bias" ? w.tensor("bias", [outputs]) : undefined);
}

/** A linear layer whose outputs come in equal parts, each a product of its own with some rows of the stored weight. */
export function linearParts(w: Weights, x: Value, outputs: number, parts: number): Value[] {
  const weight = w.tensor("weight", [outputs * parts, x.shape.at(-1)!]);
  const bias = w.tensor("bias", [outputs * parts]);
  return Array.from({ length: parts }, (_, part) => {
    const [start, end] = [part * outputs, (part + 1) * outputs];
    return x.lowering.linear(x, rows(weight, start, end), rows(bias, start, end));
  });
}
