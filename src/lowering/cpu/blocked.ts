/**
 * How does a small network run in fp32 on ONNX Runtime's CPU provider? Its maps stay in blocks of channels from one convolution to
 * the next, through norms and sums, as the processor's fastest convolutions have them.
 */

import type { Edge, Graph } from "../../onnx/graph.ts";
import { blockedConv, blockedUpsample2x, fromBlocks } from "../../onnx/operators/blocked.ts";
import * as ops from "../../onnx/ops.ts";
import { elementCount, sameShape } from "../../tensor.ts";
import { reshaped, type Weight } from "../../weights/view.ts";
import type { Lowering, Value } from "../lowering.ts";
import { activate, createCpuLowering } from "./fp32.ts";
import { blocksStatistics, normaliseBlocks, normaliseBlocksBy } from "./group-norm.ts";
import type { Block, Storage } from "./storage.ts";
import { type StoredValue, stored, unwrittenOf } from "./values.ts";

export function createCpuBlockedLowering(graph: Graph, block: Block): Lowering {
  return createCpuLowering(graph, "stored", (fp32) => {
    const [byFrame, byChannel] = [`first${block}`, `clip${block}`] as const;
    const parameter = (weight: Weight) => stored(fp32.parameter(weight), "last");
    const fillsBlocks = (channels: number) => channels % block === 0;
    const isBlockedMap = ({ shape }: Value) => shape.length === 4 && fillsBlocks(shape[3]!);
    const inStorage = ({ lowering, shape }: Value, storage: Storage, edge: Edge): StoredValue => {
      return { lowering, shape, edges: { [storage]: edge } };
    };

    const kernels = new Map<string, Edge>();

    /** Written once, also where several windows of frames read it. */
    function kernelOf(weight: Weight): Edge {
      const known = kernels.get(weight.name);
      if (known) return known;
      const kernel = kernelInBlocks(parameter(weight), block);
      kernels.set(weight.name, kernel);
      return kernel;
    }

    /** A row of a number each a channel with a map that is written: channels are an axis only outside of blocks. */
    function outOfBlocks(x: Value): Value {
      return isBlockedMap(x) ? inStorage(x, "first", stored(x, "first")) : x;
    }

    function convolveFrames(
      x: Value,
      weight: Weight,
      bias: Weight,
      gain: Value | undefined,
      padding: 0 | 1,
    ): StoredValue | undefined {
      const [frames, height, width, inputs] = x.shape as [number, number, number, number];
      const [outputs, , taps] = weight.shape as [number, number, number];
      if (!fillsBlocks(inputs) || !fillsBlocks(outputs)) return undefined;
      const scaled = (edge: Edge) => (gain ? ops.multiply(edge, stored(gain, "last")) : edge);
      const clip = stored(x, byChannel); // (1, inputs, frames, pixels)
      const kernel = scaled(kernelOf(reshaped(weight, [outputs, inputs, taps, 1])));
      return {
        lowering: x.lowering,
        shape: [frames + 2 * padding - 2, height, width, outputs],
        edges: {},
        unwritten: {
          storage: byChannel,
          bias: scaled(parameter(bias)),
          write: (offset, sum) => blockedConv(clip, kernel, offset, { pads: [padding, 0, padding, 0], sum }),
        },
      };
    }

    return {
      add(a, b) {
        if (sameShape(a.shape, b.shape)) {
          const [own, other] = unwrittenOf(b) ? [unwrittenOf(b)!, a] : [unwrittenOf(a), b];
          if (!own) return fp32.add(a, b);
          return inStorage(a, own.storage, own.write(own.bias, stored(other, own.storage)));
        }
        const own = unwrittenOf(a);
        if (!own || elementCount(b.shape) !== a.shape[3]) return fp32.add(outOfBlocks(a), b);
        const row = ops.reshape(stored(b, "last"), [a.shape[3]!]);
        const bias = own.bias ? ops.add(own.bias, row) : row;
        return { ...a, edges: {}, unwritten: { ...own, bias } } as StoredValue;
      },

      multiply: (a, b) => fp32.multiply(sameShape(a.shape, b.shape) ? a : outOfBlocks(a), b),

      conv2d(x, weight, bias, { stride, padding }) {
        const [outputs, inputs, ...taps] = weight.shape as [number, number, number, number];
        if (inputs > block && !fillsBlocks(inputs)) return fp32.conv2d(x, weight, bias, { stride, padding });
        const map = stored(x, inputs < block ? "first" : byFrame);
        const options = { strides: [stride, stride], pads: padding } as const;
        if (!fillsBlocks(outputs)) {
          const filled = convolveFilled(map, parameter(weight), bias && parameter(bias), block, options);
          const planes = fromBlocks(filled, "channels first", outputs);
          const [frames, , height, width] = planes.shape as [number, number, number, number];
          return inStorage({ ...x, shape: [frames, height, width, outputs] }, "first", planes);
        }
        const kernel = kernelOf(weight);
        const made = x.shape.slice(1, 3).map((size, axis) => {
          return Math.floor((size + padding[axis]! + padding[axis + 2]! - taps[axis]!) / stride) + 1;
        });
        return {
          lowering: x.lowering,
          shape: [x.shape[0]!, ...made, outputs],
          edges: {},
          unwritten: {
            storage: byFrame,
            bias: bias && parameter(bias),
            write: (offset, sum) => blockedConv(map, kernel, offset, { ...options, sum }),
          },
        } as StoredValue;
      },

      temporalConv: (x, weight, bias, gain) =>
        convolveFrames(x, weight, bias, gain, 1) ?? fp32.temporalConv(x, weight, bias, gain),
      temporalConvUnpadded: (x, weight, bias, gain) =>
        convolveFrames(x, weight, bias, gain, 0) ?? fp32.temporalConvUnpadded(x, weight, bias, gain),

      groupNorm(x, weight, bias, options) {
        if (!isBlockedMap(x)) return fp32.groupNorm(x, weight, bias, options);
        const { groups, eps, over, activation } = options;
        const storage = over === "clip" ? byChannel : byFrame;
        const parameters = [parameter(weight), parameter(bias)] as const;
        const normalised = normaliseBlocks(stored(x, storage), ...parameters, { groups, eps, block });
        return inStorage(x, storage, activation ? activate(normalised, activation) : normalised);
      },

      groupStatistics(x, groups) {
        if (!isBlockedMap(x)) return fp32.groupStatistics(x, groups);
        const { mean, variance } = blocksStatistics(stored(x, byFrame), { groups, block });
        const inRows = (edge: Edge) => inStorage({ ...x, shape: edge.shape }, "last", edge);
        return { mean: inRows(mean), variance: inRows(variance) };
      },

      groupNormByStatistics(x, weight, bias, statistics, options) {
        if (!isBlockedMap(x)) return fp32.groupNormByStatistics(x, weight, bias, statistics, options);
        const given = {
          mean: stored(statistics.mean, "last"),
          inverseDeviation: stored(statistics.inverseDeviation, "last"),
          presence: stored(statistics.presence, "last"),
        };
        const { groups, activation } = options;
        const parameters = [parameter(weight), parameter(bias)] as const;
        const normalised = normaliseBlocksBy(given, stored(x, byFrame), ...parameters, groups);
        return inStorage(x, byFrame, activation ? activate(normalised, activation) : normalised);
      },

      concat(values, axis) {
        if (axis !== 3 || !values.every(isBlockedMap)) return fp32.concat(values, axis);
        const edges = values.map((each) => stored(each, byFrame));
        const joined = ops.concat(edges, 1);
        const [frames, height, width] = values[0]!.shape as [number, number, number];
        return inStorage({ ...values[0]!, shape: [frames, height, width, joined.shape[1]!] }, byFrame, joined);
      },

      upsampleNearest(x, height, width) {
        const isDoubled = height === 2 * x.shape[1]! && width === 2 * x.shape[2]!;
        if (!isDoubled || !isBlockedMap(x)) return fp32.upsampleNearest(x, height, width);
        return inStorage(
          { ...x, shape: [x.shape[0]!, height, width, x.shape[3]!] },
          byFrame,
          blockedUpsample2x(stored(x, byFrame)),
        );
      },
    };
  });
}

/** (outputs, inputs, rows, columns) as it lies for {@link blockedConv}. */
function kernelInBlocks(kernel: Edge, block: Block): Edge {
  const [outputs, inputs, rows, columns] = kernel.shape as [number, number, number, number];
  if (inputs < block) {
    const byOutputs = ops.reshape(kernel, [outputs / block, block, inputs, rows, columns]);
    return ops.reshape(ops.transpose(byOutputs, [0, 2, 3, 4, 1]), kernel.shape);
  }
  const byBoth = ops.reshape(kernel, [outputs / block, block, inputs / block, block, rows, columns]);
  return ops.reshape(ops.transpose(byBoth, [0, 2, 4, 5, 3, 1]), kernel.shape);
}

/** With outputs of zeros that fill the last block. */
function convolveFilled(
  map: Edge,
  kernel: Edge,
  bias: Edge | undefined,
  block: Block,
  options: Parameters<typeof blockedConv>[3],
): Edge {
  const missing = block - (kernel.shape[0]! % block);
  const zero = ops.floats(map.graph, [0], []);
  const filled = ops.pad(kernel, [0, 0, 0, 0], [missing, 0, 0, 0], zero);
  return blockedConv(map, kernelInBlocks(filled, block), bias && ops.pad(bias, [0], [missing], zero), options);
}
