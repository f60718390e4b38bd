/** How does the network run in fp32 on ONNX Runtime's CPU provider? Convolutions on channels-first planes, the rest on tokens. */
import { addInput, addOutput, type Edge, type Graph } from "../../onnx/graph.ts";
import * as ops from "../../onnx/ops.ts";
import { elementCount, sameShape } from "../../tensor.ts";
import { reshaped, rows, type Weight } from "../../weights/view.ts";
import { evenParts } from "../even-parts.ts";
import type { Activation, Lowering, Padding, Value } from "../lowering.ts";
import type { WeightStorage } from "../lowerings.ts";
import { attendAcrossItems } from "./attention-across-items.ts";
import { normalisePlanes, normalisePlanesBy, normaliseTokens, planesStatistics } from "./group-norm.ts";
import { carriesPast, parameter as parameterEdge } from "./parameter.ts";
import type { Storage } from "./storage.ts";
import { commonStorage, firstStorage, itemsOf, repeated, type StoredValue, stored, writtenBy } from "./values.ts";
import {
  convolveFrameTiles,
  convolveTiles,
  isWorthFrameTiles,
  mapTilesFor,
  piecesOfKernel,
  type Tiles,
  transformFrameKernel,
  transformKernel,
} from "./winograd.ts";

/** Numbers in a map that stays in a processor's cache of some tens of megabytes, together with the maps before and after it. */
const cachedNumbers = 4.2e6;

export function createCpuFp32Lowering(graph: Graph, storage: WeightStorage = "stored"): Lowering {
  if (storage !== "int8") return createCpuLowering(graph, storage, () => ({}));
  const exact = createCpuFp32Lowering(graph);
  // The same layers are exact as in the int8 lowering, for the same reasons: see int8.ts.
  return createCpuLowering(graph, storage, (inInt8) => ({
    linear: (x, weight, bias) =>
      x.shape.length === 2
        ? writtenBy(exact, [x], ([row]) => exact.linear(row!, weight, bias))
        : inInt8.linear(x, weight, bias),
    conv2d: (x, weight, bias, options) =>
      carriesPast(weight)
        ? writtenBy(exact, [x], ([map]) => exact.conv2d(map!, weight, bias, options))
        : inInt8.conv2d(x, weight, bias, options),
    exactly: (values, write) => writtenBy(exact, values, write),
  }));
}

/** @param change gives the operations that another precision writes differently, from those of this one */
export function createCpuLowering(
  graph: Graph,
  storage: WeightStorage,
  change: (fp32: Lowering) => Partial<Lowering>,
): Lowering {
  function value(shape: readonly number[], storage: Storage, edge: Edge): StoredValue {
    return { lowering, shape, edges: { [storage]: edge } };
  }

  function elementwise(operation: (a: Edge, b: Edge) => Edge, a: Value, b: Value): Value {
    if (sameShape(a.shape, b.shape)) {
      const storage = commonStorage(a, b);
      return value(a.shape, storage, operation(stored(a, storage), stored(b, storage)));
    }
    if (a.shape.length === 4 && elementCount(b.shape) === b.shape.at(-1)) {
      const [storage] = firstStorage(a);
      const channels = b.shape.at(-1)!;
      const vector = ops.reshape(stored(b, "last"), storage === "last" ? [channels] : [channels, 1, 1]);
      return value(a.shape, storage, operation(stored(a, storage), vector));
    }
    const result = operation(stored(a, "last"), stored(b, "last"));
    return value(result.shape, "last", result);
  }

  const parameters = new Map<string, Edge>();

  /** A weight that is read twice is written to the graph once, so that it is not in memory twice. */
  function parameter(weight: Weight): Edge {
    const known = parameters.get(weight.name);
    if (known) return known;
    const edge = parameterEdge(graph, weight, storage);
    parameters.set(weight.name, edge);
    return edge;
  }

  /** Into how many windows the frames that are being written are divided. */
  let windows = 1;

  const tileKernels = new Map<string, Edge>();

  /** A kernel in the form of tiles: in equal pieces of its outputs, each used at once, or as one piece that windows of frames share. */
  function kernelOfTiles(map: Edge, weight: Weight, tiles: Tiles): Edge[] {
    const outputs = weight.shape[0]!;
    const pieces = windows > 1 ? 1 : piecesOfKernel(map, outputs, tiles);
    const each = outputs / pieces;
    return Array.from({ length: pieces }, (_, piece) => {
      const part = pieces === 1 ? weight : rows(weight, piece * each, (piece + 1) * each);
      const known = tileKernels.get(part.name);
      if (known) return known;
      const kernel = transformKernel(parameter(part), tiles);
      tileKernels.set(part.name, kernel);
      return kernel;
    });
  }

  /** Undefined where the convolution itself is faster. */
  function tilesFor(x: Value, weight: Weight, stride: number, padding: Padding): Tiles | undefined {
    const [frames, height, width] = x.shape as [number, number, number];
    const [outputs, inputs, ...kernel] = weight.shape as [number, number, ...number[]];
    const isSameSize = stride === 1 && [...kernel, ...padding].join() === "3,3,1,1,1,1";
    return isSameSize ? mapTilesFor({ frames: windows * frames, height, width }, inputs, outputs) : undefined;
  }

  function convolveFrames(x: Value, weight: Weight, bias: Weight, gain: Value | undefined, padding: 0 | 1): Value {
    const [frames, height, width, inputs] = x.shape as [number, number, number, number];
    const [outputs, , taps] = weight.shape as [number, number, number];
    const times = (edge: Edge, isMultiplied: boolean) =>
      gain && isMultiplied ? ops.multiply(edge, stored(gain, "last")) : edge;
    // The gain multiplies whatever has fewer numbers: the kernel and the bias, or the result.
    const isKernelSmaller = inputs * taps < frames * height * width;
    const kernel = times(parameter(reshaped(weight, [outputs, inputs, taps, 1])), isKernelSmaller);
    const offset = times(parameter(bias), isKernelSmaller);
    const scaled = (edge: Edge) => times(edge, !isKernelSmaller);
    if (frames === taps && padding === 0) {
      // One result of three frames, whose planes lie one after the other: a 1 x 1 convolution of three times the channels.
      const planes = ops.reshape(stored(x, "first"), [1, taps * inputs, height, width]);
      const pointwise = ops.reshape(ops.transpose(kernel, [0, 2, 1, 3]), [outputs, taps * inputs, 1, 1]);
      const frame = ops.conv(planes, pointwise, offset, { strides: [1, 1], pads: [0, 0, 0, 0] });
      return value([1, height, width, outputs], "first", scaled(frame));
    }
    // A (3, 1) convolution down the frames of (channels, frames, pixels).
    const [made, pixels] = [frames + 2 * padding - 2, height * width];
    const clip = isWorthFrameTiles(made, pixels, inputs, outputs)
      ? convolveFrameTiles(stored(x, "clip"), transformFrameKernel(kernel), offset, padding)
      : ops.conv(stored(x, "clip"), kernel, offset, { strides: [1, 1], pads: [padding, 0, padding, 0] });
    return value([clip.shape[2]!, height, width, outputs], "clip", scaled(clip));
  }

  /** Applies the operation in whichever storage the value has. */
  function mapStored(x: Value, operation: (edge: Edge) => Edge): Value {
    const [storage, edge] = firstStorage(x);
    return value(x.shape, storage, operation(edge));
  }

  const lowering: Lowering = {
    input: (name, shape) => value(shape, "last", addInput(graph, name, "float32", shape)),
    output: (name, x) => addOutput(graph, name, stored(x, "last")),
    inputPlanes(name, shape) {
      const [frames, height, width, channels] = shape as [number, number, number, number];
      return value(shape, "first", addInput(graph, name, "float32", [frames, channels, height, width]));
    },
    outputPlanes: (name, x) => addOutput(graph, name, stored(x, "first")),
    constant: (shape, data) => value(shape, "last", ops.floats(graph, data, shape)),
    parameter: (weight) => value(weight.shape, "last", parameter(weight)),

    add: (a, b) => elementwise(ops.add, a, b),
    multiply: (a, b) => elementwise(ops.multiply, a, b),
    activation: (x, kind) => mapStored(x, (edge) => activate(edge, kind)),
    sigmoid: (x) => mapStored(x, ops.sigmoid),

    blend(a, b, share) {
      const kept = stored(share, "last");
      const rest = ops.subtract(1, kept);
      const storage = commonStorage(a, b);
      const sum = ops.add(ops.multiply(stored(a, storage), kept), ops.multiply(stored(b, storage), rest));
      return value(a.shape, storage, sum);
    },

    sinusoids(x, frequencies) {
      const numbers = stored(x, "last");
      const angles = ops.multiply(numbers, ops.numbersLike(numbers, frequencies, [1, frequencies.length]));
      const result = ops.concat([ops.cos(angles), ops.sin(angles)], 1);
      return value(result.shape, "last", result);
    },

    linear(x, weight, bias) {
      const channels = x.shape.at(-1)!;
      const rows = ops.reshape(stored(x, "last"), [elementCount(x.shape) / channels, channels]);
      const product = ops.gemm(rows, parameter(weight), bias && parameter(bias)); // (rows, out)
      const shape = x.shape.with(-1, weight.shape[0]!);
      return value(shape, "last", ops.reshape(product, shape));
    },

    conv2d(x, weight, bias, { stride, padding }) {
      const map = stored(x, "first");
      const offset = bias && parameter(bias);
      const tiles = tilesFor(x, weight, stride, padding);
      const planes = tiles
        ? convolveTiles(map, kernelOfTiles(map, weight, tiles), offset, tiles)
        : ops.conv(map, parameter(weight), offset, { strides: [stride, stride], pads: padding });
      const [frames, channels, height, width] = planes.shape;
      return value([frames!, height!, width!, channels!], "first", planes);
    },

    temporalConv: (x, weight, bias, gain) => convolveFrames(x, weight, bias, gain, 1),
    temporalConvUnpadded: (x, weight, bias, gain) => convolveFrames(x, weight, bias, gain, 0),

    groupNorm(x, weight, bias, { groups, eps, over, activation }) {
      const storage = x.shape.length === 3 ? "last" : over === "clip" ? "clip" : "first";
      const inputs = [stored(x, storage), parameter(weight), parameter(bias), { groups, eps }] as const;
      const normalised = storage === "last" ? normaliseTokens(...inputs).normalised : normalisePlanes(...inputs);
      return value(x.shape, storage, activation ? activate(normalised, activation) : normalised);
    },

    groupStatistics(x, groups) {
      const { mean, variance } = planesStatistics(stored(x, "first"), groups);
      return { mean: value(mean.shape, "last", mean), variance: value(variance.shape, "last", variance) };
    },

    groupNormByStatistics(x, weight, bias, { mean, inverseDeviation, presence }, { groups, activation }) {
      const statistics = {
        mean: stored(mean, "last"),
        inverseDeviation: stored(inverseDeviation, "last"),
        presence: stored(presence, "last"),
      };
      const normalised = normalisePlanesBy(statistics, stored(x, "first"), parameter(weight), parameter(bias), groups);
      return value(x.shape, "first", activation ? activate(normalised, activation) : normalised);
    },

    layerNorm: (x, weight, bias, eps) =>
      value(x.shape, "last", ops.layerNormalization(stored(x, "last"), parameter(weight), parameter(bias), eps)),

    attention: (q, k, v, heads) =>
      value(q.shape, "last", ops.multiHeadAttention(stored(q, "last"), stored(k, "last"), stored(v, "last"), heads)),

    attentionAcrossItems(q, k, v, heads) {
      const attended = attendAcrossItems(stored(q, "last"), stored(k, "last"), stored(v, "last"), heads);
      return value(q.shape, "last", attended);
    },

    reshape: (x, shape) => value(shape, "last", ops.reshape(stored(x, "last"), shape)),

    concat(values, axis) {
      const isChannelConcat = values[0]!.shape.length === 4 && axis === 3;
      const storage = isChannelConcat ? "first" : "last";
      const joined = ops.concat(
        values.map((part) => stored(part, storage)),
        isChannelConcat ? 1 : axis,
      );
      const total = values.reduce((sum, part) => sum + part.shape[axis]!, 0);
      return value(values[0]!.shape.with(axis, total), storage, joined);
    },

    repeat: repeated,

    select(x, axis, start, count = 1) {
      const items = ops.slice(stored(x, "last"), axis, start, start + count);
      return value(items.shape, "last", items);
    },

    itemByItem(values, widest, write) {
      const items = values[0]!.shape[0]!;
      const count = Math.ceil(items / Math.max(1, Math.floor(cachedNumbers / widest)));
      if (count === 1) return [...write(values)];
      windows *= count;
      const windowResults = evenParts(items, count).map(({ start, end }) => {
        return { start, end, results: write(values.map((each) => itemsOf(each, start, end))) };
      });
      windows /= count;
      return windowResults[0]!.results.map(({ shape }, index): StoredValue => {
        const parts = windowResults.map(({ results, ...range }) => ({ ...range, value: results[index]! }));
        return { lowering, shape: shape.with(0, items), edges: {}, parts };
      });
    },

    exactly: (values, write) => write(values),

    upsampleNearest(x, height, width) {
      const doubled = ops.upsampleNearest2x(stored(x, "first"));
      const cropped = ops.crop(ops.crop(doubled, 2, height), 3, width);
      return value([x.shape[0]!, height, width, x.shape[3]!], "first", cropped);
    },

    upsampleConv2d(x, weight, bias, { height, width }) {
      const doubled = lowering.upsampleNearest(x, height, width);
      return lowering.conv2d(doubled, weight, bias, { stride: 1, padding: [1, 1, 1, 1] });
    },
  };
  return Object.assign(lowering, change({ ...lowering }));
}

export function activate(x: Edge, kind: Activation): Edge {
  switch (kind) {
    case "silu":
      return ops.quickGelu(x, 1);
    case "quick_gelu":
      return ops.quickGelu(x, 1.702);
    case "gelu":
      return ops.gelu(x);
  }
}
