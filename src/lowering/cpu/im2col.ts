/** How does a convolution become one product? Each output's neighbourhood is laid out as one row ("im2col"). */
import { addNamedConstant, type Edge } from "../../onnx/graph.ts";
import * as ops from "../../onnx/ops.ts";
import type { Padding } from "../lowering.ts";

interface Window {
  readonly kernel: readonly [number, number];
  readonly stride: number;
  readonly padding: Padding;
}

/**
 * (frames, height, width, channels) -> (frames, out height, out width, taps * channels), the taps row by row.
 *
 * It is one Gather by numbers of pixels, in which the pixel after the last one is `outside`. A Gather copies once and in several
 * threads; a Slice for each tap and a Concat would copy twice, in one thread.
 */
export function neighbouringPixels(x: Edge, outside: Edge, window: Window): Edge {
  const [frames, height, width, channels] = x.shape as [number, number, number, number];
  const pixels = ops.reshape(x, [frames, height * width, channels]);
  const extended = ops.pad(pixels, [0, 0, 0], [0, 1, 0], outside);
  const { kernel, stride, padding } = window;
  const [top, left, bottom, right] = padding;
  const outHeight = Math.floor((height + top + bottom - kernel[0]) / stride) + 1;
  const outWidth = Math.floor((width + left + right - kernel[1]) / stride) + 1;
  const taps = kernel[0] * kernel[1];
  const name = `pixels:${height}x${width}:${JSON.stringify(window)}`;
  const counted = { dtype: "int32", shape: [outHeight * outWidth * taps] } as const;
  const indices = addNamedConstant(x.graph, name, counted, () =>
    pixelNumbers([height, width], [outHeight, outWidth], window),
  );
  return ops.reshape(ops.gather(extended, indices, 1), [frames, outHeight, outWidth, taps * channels]);
}

/** The number of the pixel that each tap of each output reads. A pixel outside has the number after the last one. */
function pixelNumbers(
  [height, width]: readonly [number, number],
  [outHeight, outWidth]: readonly [number, number],
  { kernel, stride, padding: [top, left] }: Window,
): Int32Array {
  const taps = kernel[0] * kernel[1];
  return Int32Array.from({ length: outHeight * outWidth * taps }, (_, index) => {
    const [output, tap] = [Math.floor(index / taps), index % taps];
    const y = Math.floor(output / outWidth) * stride - top + Math.floor(tap / kernel[1]);
    const x = (output % outWidth) * stride - left + (tap % kernel[1]);
    const isInside = y >= 0 && y < height && x >= 0 && x < width;
    return isInside ? y * width + x : height * width;
  });
}

/** (frames, ..., channels) -> (frames, ..., 3 * channels): the frame before, the frame itself and the one after. */
export function neighbouringFrames(x: Edge, outside: Edge): Edge {
  const frames = x.shape[0]!;
  const one = x.shape.map((_, axis) => (axis === 0 ? 1 : 0));
  const padded = ops.pad(x, one, one, outside);
  const taps = [0, 1, 2].map((first) => ops.slice(padded, 0, first, first + frames));
  return ops.concat(taps, x.shape.length - 1);
}
