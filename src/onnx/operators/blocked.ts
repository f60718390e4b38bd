/**
 * Which operators work on maps whose channels lie in blocks, each in its own convolution's registers? Those that ONNX Runtime's
 * optimiser puts in place of others, for its own use.
 *
 * A map of shape (batch, channels, height, width) lies as (batch, channels / block, height, width, block). The block is the processor's;
 * only one lives in a library, and shapes do not say it.
 *
 * https://github.com/microsoft/onnxruntime/blob/v1.22.0/onnxruntime/contrib_ops/cpu/nchwc_ops.cc
 */
import { elementCount } from "../../tensor.ts";
import { addNode, anySize, type Edge, graphError } from "../graph.ts";
import { channelBlocks, moving, multiplying, type Operator, resultCount } from "./operator.ts";

const toBlocksOperator: Operator<{ channels_last: number }> = {
  name: "ReorderInput",
  set: channelBlocks,
  takes: ["float32"],
  gives: ["float32"],
  ...moving,
};

/** (batch, channels, height, width), or with channels last, into blocks. */
export function toBlocks(x: Edge, from: "channels first" | "channels last"): Edge {
  const [batch, a, b, c] = fourAxes(x);
  const isLast = from === "channels last";
  return addNode(toBlocksOperator, [x], isLast ? [batch, c, a, b] : x.shape, { channels_last: Number(isLast) });
}

/** (batch, channels, height, width) into blocks, of which the last is filled up: as many channels as the processor wants. */
export function toFilledBlocks(x: Edge): Edge {
  const [batch, , height, width] = fourAxes(x);
  return addNode(toBlocksOperator, [x], [batch, anySize, height, width], { channels_last: 0 });
}

const fromBlocksOperator: Operator<{ channels: number; channels_last: number }> = {
  ...toBlocksOperator,
  name: "ReorderOutput",
};

/** And out of them: the first `channels`, where the last block was filled up. */
export function fromBlocks(x: Edge, to: "channels first" | "channels last", channels = x.shape[1]!): Edge {
  const [batch, , height, width] = fourAxes(x);
  const isLast = to === "channels last";
  const shape = isLast ? [batch, height, width, channels] : [batch, channels, height, width];
  return addNode(fromBlocksOperator, [x], shape, { channels, channels_last: Number(isLast) });
}

const convOperator: Operator<{
  kernel_shape: readonly number[];
  strides: readonly number[];
  pads: readonly number[];
  group: number;
}> = {
  name: "Conv",
  set: channelBlocks,
  takes: ["float32", "float32", "float32", "float32"],
  gives: ["float32"],
  ...multiplying("convolution", (node) => resultCount(node) * elementCount(node.inputs[1]!.shape.slice(1))),
  // The map that is added to the result.
  buffer: { overwrites: [3] },
};

/**
 * A 2-D convolution. The weight's shape is (out, in, kernel height, kernel width); it lies as (out / block, in / block, kernel height,
 * kernel width, in of block, out of block). Where channels are fewer than a block the map has them first, not in blocks, and
 * the weight lies as (out / block, in, kernel height, kernel width, block).
 *
 * @param options.sum a map that is added to the result
 * @param options.each whether each channel is convolved by itself, in is then 1
 */
export function blockedConv(
  x: Edge,
  weight: Edge,
  bias: Edge | undefined,
  options: {
    strides?: readonly [number, number];
    pads?: readonly [number, number, number, number];
    sum?: Edge | undefined;
    each?: boolean;
  } = {},
): Edge {
  const { strides = [1, 1], pads = [0, 0, 0, 0], sum, each = false } = options;
  const [batch, channels, height, width] = fourAxes(x);
  const [outputs, inputs, kernelHeight, kernelWidth] = fourAxes(weight);
  if (each ? inputs !== 1 || outputs !== channels : inputs !== channels) {
    throw graphError(x.graph, `Conv of [${x.shape}] with weight [${weight.shape}]`);
  }
  const [top, left, bottom, right] = pads;
  const outHeight = Math.floor((height + top + bottom - kernelHeight) / strides[0]) + 1;
  const outWidth = Math.floor((width + left + right - kernelWidth) / strides[1]) + 1;
  const attributes = { kernel_shape: [kernelHeight, kernelWidth], strides, pads, group: each ? channels : 1 };
  return addNode(convOperator, [x, weight, bias, sum], [batch, outputs, outHeight, outWidth], attributes);
}

const meanOperator: Operator = {
  name: "GlobalAveragePool",
  set: channelBlocks,
  takes: ["float32"],
  gives: ["float32"],
  ...moving,
};

/** The mean of each channel: (batch, channels, 1, 1). */
export function blockedMean(x: Edge): Edge {
  const [batch, channels] = fourAxes(x);
  return addNode(meanOperator, [x], [batch, channels, 1, 1]);
}

const upsampleOperator: Operator<{ scales: readonly number[]; mode: string }> = {
  name: "Upsample",
  set: channelBlocks,
  takes: ["float32"],
  gives: ["float32"],
  ...moving,
};

/** Twice the height and width, each element repeated. */
export function blockedUpsample2x(x: Edge): Edge {
  const [batch, channels, height, width] = fourAxes(x);
  const shape = [batch, channels, 2 * height, 2 * width];
  return addNode(upsampleOperator, [x], shape, { scales: [1, 1, 2, 2], mode: "nearest" });
}

function fourAxes({ graph, shape }: Edge): readonly [number, number, number, number] {
  if (shape.length !== 4) throw graphError(graph, `[${shape}] should have 4 axes`);
  return shape as unknown as readonly [number, number, number, number];
}
