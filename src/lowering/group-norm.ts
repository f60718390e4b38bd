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

/**
 * (frames, channels, height, width) by statistics from outside, mean and 1 / deviation (1, groups): x * scale + shift, as
 * torch has it. A frame whose `presence` (frames, 1) is 0 becomes 0.
 */
export function normalisePlanesBy(
  statistics: { mean: Edge; inverseDeviation: Edge; presence: Edge },
  x: Edge,
  weight: Edge,
  bias: Edge,
  groups: number,
): Edge {
  const [frames, channels, height, width] = x.shape as [number, number, number, number];
  const perChannel = (perGroup: Edge) =>
    ops.reshape(ops.expand(ops.reshape(perGroup, [groups, 1]), [groups, channels / groups]), [1, channels]);
  const scale = ops.multiply(perChannel(statistics.inverseDeviation), weight);
  const shift = ops.subtract(bias, ops.multiply(perChannel(statistics.mean), scale));
  const perPlane = (row: Edge) => ops.reshape(ops.multiply(statistics.presence, row), [frames * channels]);
  const planes = ops.reshape(x, [1, frames * channels, height * width]);
  return ops.reshape(ops.scaleAndShift(planes, perPlane(scale), perPlane(shift)), x.shape);
}

/** (frames, channels, height, width) -> mean and variance of each group, (frames, groups): row by row, so that no sum is long. */
export function planesStatistics(x: Edge, groups: number): { mean: Edge; variance: Edge } {
  const [frames, channels, height, width] = x.shape as [number, number, number, number];
  const rows = ops.reshape(x, [frames, groups, (channels / groups) * height, width]);
  const overRows = (perRow: Edge) => ops.reduceMean(perRow, [2]); // (frames, groups, 1, 1)
  const mean = overRows(ops.reduceMean(rows, [3]));
  const squares = overRows(ops.reduceSumSquare(ops.subtract(rows, mean), [3]));
  const variance = ops.multiply(squares, ops.scalar(x.graph, 1 / width));
  return { mean: ops.reshape(mean, [frames, groups]), variance: ops.reshape(variance, [frames, groups]) };
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
