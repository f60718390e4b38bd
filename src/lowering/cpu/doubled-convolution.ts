/** How is a 3x3 convolution of a doubled map computed without doubling it? As four convolutions of 2x2 taps, for 4/9 of the products. */
import type { Edge } from "../../onnx/graph.ts";
import * as ops from "../../onnx/ops.ts";
import type { TapSums } from "../../onnx/weight-recipes.ts";
import type { Padding } from "../lowering.ts";

/**
 * A line of the map becomes two lines. For each of them: which of the three taps fall on each of the two lines of the map that they
 * see, and on which side those reach beyond the map.
 */
const lines = [
  { taps: [[0], [1, 2]], before: 1, after: 0 },
  { taps: [[0, 1], [2]], before: 0, after: 1 },
] as const;

/**
 * @param shape the shape of a result of `convolve`, which is as large as the map
 * @param convolve writes a convolution of 2x2 taps, each of which is the sum of some taps of the 3x3 kernel
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
