/**
 * How does the network run in int8 on ONNX Runtime's CPU provider? Large products multiply bytes, the rest is as in fp32.
 *
 * Feature maps lie channels last throughout, so that every product is one of rows and columns. A tensor is quantised once,
 * with one scale for all of it, however many products read it.
 *
 * Quantising turns NaN into some byte, which hides it. So the scales and means that were taken on the way leave the network beside
 * each output, summed to one number: it is finite only where the numbers were from which they were made, and it costs next to nothing.
 */
import { addInt8Matrix, addOutput, type Edge, type Graph } from "../../onnx/graph.ts";
import * as ops from "../../onnx/ops.ts";
import { elementCount } from "../../tensor.ts";
import { reshaped, type Weight } from "../../weights/view.ts";
import type { Lowering, Value } from "../lowering.ts";
import { convolveDoubled } from "./doubled-convolution.ts";
import { activate, createCpuFp32Lowering, createCpuLowering } from "./fp32.ts";
import { normaliseTokens } from "./group-norm.ts";
import { neighbouringFrames, neighbouringPixels } from "./im2col.ts";
import { carriesPast, fewestInt8Channels } from "./parameter.ts";
import { type StoredValue, stored, writtenBy } from "./values.ts";

const tracesTogether = 64;

export function createCpuInt8Lowering(graph: Graph): Lowering {
  const exact = createCpuFp32Lowering(graph);
  const quantisedEdges = new Map<Edge, ops.QuantisedEdge>();
  const attended = new Set<Edge>();
  const traces: Edge[] = [];
  const trace = (scalar: Edge) => {
    traces.push(scalar);
    // Summed now and then, so that where the graph is cut there is little to hand on.
    if (traces.length === tracesTogether) traces.push(ops.sumOfScalars(traces.splice(0)));
  };

  return createCpuLowering(graph, "fp32", (fp32) => {
    const parameter = (weight: Weight) => stored(fp32.parameter(weight), "last");

    /** The value as bytes, (frames, height, width, channels) or tokens. It is written once for all products that read it. */
    function quantise(x: Value): ops.QuantisedEdge {
      const edge = stored(x, "last");
      const known = quantisedEdges.get(edge);
      if (known) return known;
      const { scale, ...others } = ops.dynamicQuantizeLinear(edge);
      const quantised = { ...others, scale: attended.has(edge) ? unlessNotFinite(scale, edge) : scale };
      quantisedEdges.set(edge, quantised);
      trace(quantised.scale);
      return quantised;
    }

    const product = (x: ops.QuantisedEdge, { bytes, scales }: { bytes: Edge; scales: Edge }, bias: Edge | undefined) =>
      ops.matMulIntegerToFloat(x, bytes, scales, bias);

    /** Whether a product with this weight is done in bytes. */
    function multipliesBytes(weight: Weight): boolean {
      const [outputs, inputs] = weight.shape as [number, number];
      return Math.min(outputs, inputs) >= fewestInt8Channels;
    }

    const int8 = (weight: Weight) => addInt8Matrix(graph, weight.name, weight);

    /**
     * The scale, made NaN where one of the numbers is: attention gives NaN for a token whose query or key overflows, which the scale
     * itself does not show. The numbers are summed at once, because a sum at the output would hold them in memory until the end.
     */
    function unlessNotFinite(scale: Edge, numbers: Edge): Edge {
      return ops.add(scale, ops.multiply(ops.sumOfAll(numbers), 0));
    }

    function marked(x: Value): Value {
      attended.add(stored(x, "last"));
      return x;
    }

    return {
      linear(x, weight, bias) {
        // Rows come from the time embedding. They are little work, so bytes would save nothing.
        if (x.shape.length === 2) return writtenBy(exact, [x], ([row]) => exact.linear(row!, weight, bias));
        if (!multipliesBytes(weight)) return fp32.linear(x, weight, bias);
        const quantised = quantise(x);
        const matrix = int8(weight);
        return lastOf(x, product(quantised, matrix, bias && parameter(bias)));
      },

      conv2d(x, weight, bias, { stride, padding }) {
        const [outputs, inputs, ...kernel] = weight.shape as [number, number, number, number];
        // The clip is 9 dB nearer with these in fp32.
        if (carriesPast(weight)) return fp32.linear(x, reshaped(weight, [outputs, inputs]), bias);
        if (!multipliesBytes(weight)) return fp32.conv2d(x, weight, bias, { stride, padding });
        const quantised = quantise(x);
        const pixels = neighbouringPixels(quantised.bytes, quantised.zeroPoint, { kernel, stride, padding });
        const matrix = int8(weight);
        return lastOf(x, product({ ...quantised, bytes: pixels }, matrix, bias && parameter(bias)));
      },

      temporalConv(x, weight, bias, gain) {
        if (!multipliesBytes(weight)) return fp32.temporalConv(x, weight, bias, gain);
        const quantised = quantise(x);
        const frames = neighbouringFrames(quantised.bytes, quantised.zeroPoint);
        const { bytes, scales } = int8(weight);
        const times = (edge: Edge) => (gain ? ops.multiply(edge, stored(gain, "last")) : edge);
        const gained = { bytes, scales: times(scales) };
        return lastOf(x, product({ ...quantised, bytes: frames }, gained, times(parameter(bias))));
      },

      groupNorm(x, weight, bias, { groups, eps, over, activation }) {
        const channels = x.shape.at(-1)!;
        const frames = x.shape[0]!;
        const [items, parts] = over === "clip" ? [1, frames] : [frames, 1];
        const tokens = ops.reshape(stored(x, "last"), [items, elementCount(x.shape) / (items * channels), channels]);
        const options = { groups, eps, parts };
        const { normalised, mean } = normaliseTokens(tokens, parameter(weight), parameter(bias), options);
        trace(ops.sumOfAll(mean));
        return lastOf(x, ops.reshape(activation ? activate(normalised, activation) : normalised, x.shape));
      },

      attention: (q, k, v, heads) => marked(fp32.attention(q, k, v, heads)),
      attentionAcrossItems: (q, k, v, heads) => marked(fp32.attentionAcrossItems(q, k, v, heads)),

      outputPlanes(name, x) {
        // Added before the network's own output, so that the nodes run in the order of that output.
        if (traces.length > 0) addOutput(graph, `${name}, trace`, ops.reshape(ops.sumOfScalars(traces.splice(0)), [1]));
        fp32.outputPlanes(name, x);
      },

      concat(values, axis) {
        const parts = values.map((part) => stored(part, "last"));
        return lastOf(values[0]!, ops.concat(parts, axis));
      },

      exactly: (values, write) => writtenBy(exact, values, write),

      upsampleNearest(x, height, width) {
        const [frames, h, w, channels] = x.shape as [number, number, number, number];
        const spread = ops.reshape(stored(x, "last"), [frames, h, 1, w, 1, channels]);
        const each = ops.expand(spread, [frames, h, 2, w, 2, channels]);
        const doubled = ops.reshape(each, [frames, 2 * h, 2 * w, channels]);
        return lastOf(x, ops.crop(ops.crop(doubled, 1, height), 2, width));
      },

      upsampleConv2d(x, weight, bias, size) {
        const [frames, height, width] = x.shape as [number, number, number];
        const isWhole = size.height === 2 * height && size.width === 2 * width;
        if (!isWhole || !multipliesBytes(weight)) return fp32.upsampleConv2d(x, weight, bias, size);
        const quantised = quantise(x);
        const doubled = convolveDoubled([frames, height, width, weight.shape[0]!], (tapSums, padding) => {
          const window = { kernel: [2, 2], stride: 1, padding } as const;
          const bytes = neighbouringPixels(quantised.bytes, quantised.zeroPoint, window);
          return product({ ...quantised, bytes }, addInt8Matrix(graph, weight.name, weight, tapSums), parameter(bias));
        });
        return lastOf(x, doubled);
      },
    };
  });
}

/** A value like `x` that lies channels last. */
function lastOf({ lowering }: Value, edge: Edge): StoredValue {
  return { lowering, shape: edge.shape, edges: { last: edge } };
}
