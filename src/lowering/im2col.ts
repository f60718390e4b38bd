/** How does a convolution become one product? Each output's neighbourhood is laid out as one row ("im2col"). */
import type { Edge } from "../onnx/graph.ts";
import * as ops from "../onnx/ops.ts";
import type { Padding } from "./lowering.ts";

/** (frames, height, width, channels) -> (frames, out height, out width, taps * channels), the taps row by row. */
export function neighbouringPixels(
  x: Edge,
  outside: Edge,
  options: { kernel: readonly [number, number]; stride: number; padding: Padding },
): Edge {
  const { kernel, stride, padding } = options;
  const [top, left, bottom, right] = padding;
  const padded = ops.pad(x, [0, top, left, 0], [0, bottom, right, 0], outside);
  const [, height, width] = padded.shape as [number, number, number, number];
  const taps = Array.from({ length: kernel[0] * kernel[1] }, (_, tap) => {
    const [row, column] = [Math.floor(tap / kernel[1]), tap % kernel[1]];
    return ops.sliceAxes(padded, [
      { axis: 1, start: row, end: height - kernel[0] + row + 1, step: stride },
      { axis: 2, start: column, end: width - kernel[1] + column + 1, step: stride },
    ]);
  });
  return ops.concat(taps, 3);
}

/** (frames, ..., channels) -> (frames, ..., 3 * channels): the frame before, the frame itself and the one after. */
export function neighbouringFrames(x: Edge, outside: Edge): Edge {
  const frames = x.shape[0]!;
  const one = x.shape.map((_, axis) => (axis === 0 ? 1 : 0));
  const padded = ops.pad(x, one, one, outside);
  const taps = [0, 1, 2].map((first) => ops.slice(padded, 0, first, first + frames));
  return ops.concat(taps, x.shape.length - 1);
}
