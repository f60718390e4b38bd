/** How is a 3x3 convolution of a doubled map worked out without doubling it? As four of two by two taps, for 4 in place of 9. */
import type { Edge } from "../../onnx/graph.ts";
import * as ops from "../../onnx/ops.ts";
import type { TapSums } from "../../onnx/prepared.ts";
import type { Padding } from "../lowering.ts";

/** Of the two lines that a line becomes: which of the three taps fall on the two lines they see, and whether those go beyond the map. */
const lines = [
  { taps: [[0], [1, 2]], before: 1, after: 0 },
  { taps: [[0, 1], [2]], before: 0, after: 1 },
] as const;

/**
 * @param shape of a result of `convolve`, which is as large as the map
 * @param convolve with two by two taps, each the sum of some of the 3x3 kernel's
 * @returns (frames, 2 * height, 2 * width, channels)
 */
export function convolveDoubled(
  shape: readonly number[],
  convolve: (tapSums: TapSums, padding: Padding) => Edge,
): Edge {
  const [frames, height, width, channels] = shape as [number, number, number, number];
  const rows = lines.map((row) => {
    const columns = lines.map((column) => {
      const tapSums = row.taps.flatMap((ys) => column.taps.map((xs) => ys.flatMap((y) => xs.map((x) => 3 * y + x))));
      return convolve(tapSums, [row.before, column.before, row.after, column.after]);
    });
    return ops.reshape(ops.concat(columns, 3), [frames, height, 1, 2 * width * channels]);
  });
  return ops.reshape(ops.concat(rows, 2), [frames, 2 * height, 2 * width, channels]);
}
