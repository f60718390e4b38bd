/** How is group norm written with operators that the CPU provider has? Differently for planes and for tokens. */
import type { Edge } from "../onnx/graph.ts";
import * as ops from "../onnx/ops.ts";
import { elementCount } from "../tensor.ts";

/** (items, channels, ...): the elements of a group lie together, so instance norm over the groups is group norm. */
export function normalisePlanes(x: Edge, weight: Edge, bias: Edge, groups: number, eps: number): Edge {
  const [items, channels] = x.shape as [number, number];
  const perChannel = elementCount(x.shape) / (items * channels);
  const grouped = ops.reshape(x, [1, items * groups, (channels / groups) * perChannel]);
  const normalised = ops.reshape(ops.instanceNormalization(grouped, eps), [items, channels, perChannel]);
  const scaled = ops.multiply(normalised, ops.reshape(weight, [channels, 1]));
  return ops.reshape(ops.add(scaled, ops.reshape(bias, [channels, 1])), x.shape);
}

/** (frames, tokens, channels): per-channel sums, joined to groups; the mean is taken off before squaring. */
export function normaliseTokens(x: Edge, weight: Edge, bias: Edge, groups: number, eps: number): Edge {
  const [frames, tokens, channels] = x.shape as [number, number, number];
  const grouped = [frames, 1, groups, channels / groups];
  const groupMean = (perChannel: Edge) => ops.reduceMean(ops.reshape(perChannel, grouped), [3]); // (frames, 1, groups, 1)
  const perChannel = (perGroup: Edge) => ops.reshape(ops.expand(perGroup, grouped), [frames, 1, channels]);

  const centred = ops.subtract(x, perChannel(groupMean(ops.reduceMean(x, [1]))));
  const variance = groupMean(ops.multiply(ops.reduceSumSquare(centred, [1]), ops.scalar(x.graph, 1 / tokens)));
  const inverseDeviation = ops.reciprocal(ops.sqrt(ops.add(variance, ops.scalar(x.graph, eps))));
  return ops.add(ops.multiply(centred, ops.multiply(perChannel(inverseDeviation), weight)), bias);
}
