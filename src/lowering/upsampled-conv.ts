/** How is a map convolved that was doubled by repeating each pixel? Without being doubled: 16 products for a pixel in place of 36. */
import type { Edge } from "../onnx/graph.ts";
import * as ops from "../onnx/ops.ts";

/**
 * A 3 x 3 convolution, zero padded, of `small` (frames, channels, height, width) with height and width doubled.
 *
 * Of three pixels in a row of the doubled map two are always the same one, so that pixels at even and at odd places are
 * convolutions of two pixels of the small map each, with the two taps that meet one pixel summed.
 */
export function convOfUpsampled(small: Edge, kernel: Edge, bias: Edge | undefined): Edge {
  const quarters = [0, 1].flatMap((row) =>
    [0, 1].map((column) => {
      const twoByTwo = withSummedTaps(withSummedTaps(kernel, 2, row), 3, column);
      const pads = [1 - row, 1 - column, row, column] as const;
      return ops.conv(small, twoByTwo, bias, { strides: [1, 1], pads });
    }),
  );
  return ops.interleave2x2(ops.concat(quarters, 1));
}

/** Three taps become two: at even places the last two meet the same pixel, at odd ones the first two. */
function withSummedTaps(kernel: Edge, axis: number, place: number): Edge {
  const tap = (index: number) => ops.slice(kernel, axis, index, index + 1);
  const taps = place === 0 ? [tap(0), ops.add(tap(1), tap(2))] : [ops.add(tap(0), tap(1)), tap(2)];
  return ops.concat(taps, axis);
}
