/** How is group norm written with operators that the CPU provider has? Differently for planes, for tokens and for channels in blocks. */

import { addNamedConstant, type Edge, type Graph } from "../../onnx/graph.ts";
import { blockedConv, blockedMean } from "../../onnx/operators/blocked.ts";
import * as ops from "../../onnx/ops.ts";
import { elementCount } from "../../tensor.ts";
import { divisorFrom } from "../even-parts.ts";
import type { Block } from "./storage.ts";

/** (items, channels, ...): the elements of a group lie together, so instance norm over the groups is group norm. */
export function normalisePlanes(
  x: Edge,
  weight: Edge,
  bias: Edge,
  { groups, eps }: { groups: number; eps: number },
): Edge {
  const [items, channels] = x.shape as [number, number];
  const perChannel = elementCount(x.shape) / (items * channels);
  const grouped = ops.reshape(x, [1, items * groups, (channels / groups) * perChannel]);
  const normalised = ops.reshape(ops.instanceNormalization(grouped, eps), [items, channels, perChannel]);
  const scaled = ops.multiply(normalised, ops.reshape(weight, [channels, 1]));
  return ops.reshape(ops.add(scaled, ops.reshape(bias, [channels, 1])), x.shape);
}

/** Statistics from outside: mean and 1 / deviation (1, groups). A frame whose `presence` (frames, 1) is 0 becomes 0. */
interface StatisticsGiven {
  readonly mean: Edge;
  readonly inverseDeviation: Edge;
  readonly presence: Edge;
}

/** (frames, channels, height, width) by statistics from outside: x * scale + shift, as torch has it. */
export function normalisePlanesBy(
  statistics: StatisticsGiven,
  x: Edge,
  weight: Edge,
  bias: Edge,
  groups: number,
): Edge {
  const [frames, channels, height, width] = x.shape as [number, number, number, number];
  const [scale, shift] = scaleAndShiftOf(statistics, weight, bias, groups);
  const planes = ops.reshape(x, [1, frames * channels, height * width]);
  const perPlane = (rows: Edge) => ops.reshape(rows, [frames * channels]);
  return ops.reshape(ops.scaleAndShift(planes, perPlane(scale), perPlane(shift)), x.shape);
}

/** The same with channels in blocks. */
export function normaliseBlocksBy(
  statistics: StatisticsGiven,
  x: Edge,
  weight: Edge,
  bias: Edge,
  groups: number,
): Edge {
  return scaleAndShiftBlocks(x, ...scaleAndShiftOf(statistics, weight, bias, groups));
}

/** (frames, channels) both. */
function scaleAndShiftOf(
  { mean, inverseDeviation, presence }: StatisticsGiven,
  weight: Edge,
  bias: Edge,
  groups: number,
): [scale: Edge, shift: Edge] {
  const channels = elementCount(weight.shape);
  const perChannel = (perGroup: Edge) =>
    ops.reshape(ops.expand(ops.reshape(perGroup, [groups, 1]), [groups, channels / groups]), [1, channels]);
  const scale = ops.multiply(perChannel(inverseDeviation), weight);
  const shift = ops.subtract(bias, ops.multiply(perChannel(mean), scale));
  return [ops.multiply(presence, scale), ops.multiply(presence, shift)];
}

/** (frames, channels, height, width) -> mean and variance of each group, (frames, groups), taken row by row, so that no sum is long. */
export function planesStatistics(x: Edge, groups: number): { mean: Edge; variance: Edge } {
  const [frames, channels, height, width] = x.shape as [number, number, number, number];
  const rows = ops.reshape(x, [frames, groups, (channels / groups) * height, width]);
  const overRows = (perRow: Edge) => ops.reduceMean(perRow, [2]); // (frames, groups, 1, 1)
  const mean = overRows(ops.reduceMean(rows, [3]));
  const squares = overRows(ops.reduceSumSquare(ops.subtract(rows, mean), [3]));
  const variance = ops.multiply(squares, 1 / width);
  return { mean: ops.reshape(mean, [frames, groups]), variance: ops.reshape(variance, [frames, groups]) };
}

/**
 * (items, tokens, channels): means over tokens, then over groups. The mean is subtracted before squaring.
 *
 * @param parts into how many parts the tokens of an item are divided, whose means are taken in several threads
 * @returns the result, and the mean of each group, (items, 1, groups, 1), which is finite only where all its tokens are
 */
export function normaliseTokens(
  x: Edge,
  weight: Edge,
  bias: Edge,
  { groups, eps, parts = 1 }: { groups: number; eps: number; parts?: number },
): { normalised: Edge; mean: Edge } {
  const [items, tokens, channels] = x.shape as [number, number, number];
  const grouped = [items, 1, groups, channels / groups];
  const tokenMean = (y: Edge) => {
    if (parts === 1) return ops.reduceMean(y, [1]); // (items, 1, channels)
    const perPart = ops.reduceMean(ops.reshape(y, [items * parts, tokens / parts, channels]), [1]);
    return ops.reduceMean(ops.reshape(perPart, [items, parts, channels]), [1]);
  };
  const groupMean = (y: Edge) => ops.reduceMean(ops.reshape(tokenMean(y), grouped), [3]); // (items, 1, groups, 1)
  const perChannel = (perGroup: Edge) => ops.reshape(ops.expand(perGroup, grouped), [items, 1, channels]);

  const mean = groupMean(x);
  const centred = ops.subtract(x, perChannel(mean));
  // ReduceSumSquare takes three times as long over an axis that is not the last.
  const variance = groupMean(ops.multiply(centred, centred));
  const inverseDeviation = ops.reciprocal(ops.sqrt(ops.add(variance, eps)));
  const normalised = ops.add(ops.multiply(centred, ops.multiply(perChannel(inverseDeviation), weight)), bias);
  return { normalised, mean };
}

/** Numbers that are summed one after the other: of more, rounding would be seen. */
const summedTogether = 2048;

interface Grouping {
  readonly groups: number;
  readonly block: Block;
}

/** (items, channels, rows, columns) with channels in blocks, whose groups need not begin where a block does. */
export function normaliseBlocks(
  x: Edge,
  weight: Edge,
  bias: Edge,
  { eps, ...grouping }: Grouping & { eps: number },
): Edge {
  const [items, channels] = x.shape as [number, number];
  const { turned, squares, squared } = turnedAround(x, grouping, eps);
  const turnedBack = ops.multiply(weight, -Math.sqrt(squared));
  const scale = ops.divide(ops.reshape(turnedBack, [channels, 1, 1]), ops.sqrt(squares));
  return scaleAndShiftBlocks(turned, scale, ops.expand(ops.reshape(bias, [1, channels]), [items, channels]));
}

/** The same as {@link planesStatistics}. */
export function blocksStatistics(x: Edge, grouping: Grouping): { mean: Edge; variance: Edge } {
  const [items, channels] = x.shape as [number, number];
  const { groups } = grouping;
  const { mean, squares, squared } = turnedAround(x, grouping, 0);
  const perGroup = (perChannel: Edge) => {
    const channelsOfGroups = ops.reshape(perChannel, [items, groups, channels / groups]);
    return ops.reshape(ops.slice(channelsOfGroups, 2, 0, 1), [items, groups]);
  };
  return { mean: perGroup(mean), variance: ops.multiply(perGroup(squares), 1 / squared) };
}

/** x * scale + shift for each channel of each item, one pass: a convolution of each channel by itself. */
function scaleAndShiftBlocks(x: Edge, scale: Edge, shift: Edge): Edge {
  const [items, channels, rows, columns] = x.shape as [number, number, number, number];
  const planes = items * channels;
  const map = ops.reshape(x, [1, planes, rows, columns]);
  const result = blockedConv(map, ops.reshape(scale, [planes, 1, 1, 1]), ops.reshape(shift, [planes]), { each: true });
  return ops.reshape(result, x.shape);
}

/**
 * The mean of each group less the map, and the means that this takes: the mean is taken off before squaring.
 *
 * @returns as (items, channels, 1, 1) the mean of each channel's group, and of its squares, times `squared`, plus eps times as much
 */
function turnedAround(
  x: Edge,
  { groups, block }: Grouping,
  eps: number,
): { turned: Edge; mean: Edge; squares: Edge; squared: number } {
  const { graph } = x;
  const [items, channels, rows, columns] = x.shape as [number, number, number, number];
  const [planes, pixels] = [items * channels, rows * columns];
  const parts = divisorFrom(Math.ceil(pixels / summedTogether), pixels);
  const squared = pixels / parts;
  const partAxes = parts === 1 ? [rows, columns] : [1, squared];
  const averages = groupAverages(graph, channels, groups, block);

  /** Of a number for each part, as they lie, to the mean of each group. */
  const groupMean = (ofParts: Edge, added?: Edge) => {
    const ofPlanes = parts === 1 ? ofParts : ops.reduceMean(ops.reshape(ofParts, [planes / block, parts, block]), [1]);
    return blockedConv(ops.reshape(ofPlanes, [items, channels, 1, 1]), averages, added);
  };

  const mean = groupMean(blockedMean(parts === 1 ? x : ops.reshape(x, [1, planes * parts, ...partAxes])));
  const minusOnes = ops.floats(graph, new Float32Array(planes).fill(-1));
  const turned = scaleAndShiftBlocks(x, minusOnes, mean);
  // The map with itself as the kernel: the sum of its squares.
  const map = ops.reshape(turned, [1, planes * parts, ...partAxes]);
  const sums = blockedConv(map, ops.reshape(turned, [planes * parts, 1, ...partAxes]), undefined, { each: true });
  const added = eps === 0 ? undefined : ops.floats(graph, new Float32Array(channels).fill(squared * eps));
  return { turned, mean, squares: groupMean(sums, added), squared };
}

/** The weight of a convolution that gives each channel the mean of its group. */
function groupAverages(graph: Graph, channels: number, groups: number, block: Block): Edge {
  const shape = [channels, channels, 1, 1];
  const size = channels / groups;
  return addNamedConstant(graph, `averages of groups:${channels}:${groups}`, { dtype: "float32", shape }, () => {
    const weights = new Float32Array(channels * channels);
    for (let output = 0; output < channels; output++) {
      const group = Math.floor(output / size) * size;
      for (let input = group; input < group + size; input++) {
        const stack = Math.floor(output / block) * (channels / block) + Math.floor(input / block);
        weights[(stack * block + (input % block)) * block + (output % block)] = 1 / size;
      }
    }
    return weights;
  });
}
