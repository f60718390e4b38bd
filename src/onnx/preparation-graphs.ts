/** How does a stored weight become what a session computes with? By small graphs over some of its outputs at a time. */
import type { DataType } from "../tensor.ts";
import { addInput, addOutput, anySize, createGraph, type Edge, type Graph } from "./graph.ts";
import * as ops from "./ops.ts";
import { serialise } from "./serialise.ts";
import { type Conversion, conversionOf, type PreparedWeight, type TapSums, transpositions } from "./weight-recipes.ts";

/** The largest value that both signs of an int8 have. */
const largestInt8 = 127;

/** What the weights of an output are divided by that are all 0. */
const smallestStep = 1e-30;

/**
 * Every graph that the weights need, serialised, by its name. They take any number of outputs (rows) of weights that are alike:
 *
 * - a conversion. Inputs: `stored` (rows, elements of an output), float32 `factors` (rows, 1) or (1, 1) if it has scales, and float32
 *   `up` (rows, rank) and `down` (rank, elements of an output) if their product is added. Outputs: `values` like `stored`, or with
 *   summed taps; for int8 `scales` (rows); `sums` (rows), by which what is not finite is found: bytes do not show it
 * - a transposition. Input: int8 `values`. Output: `transposed`
 */
export function preparationGraphs(weights: readonly PreparedWeight[]): Map<string, Uint8Array> {
  const conversions = new Map(weights.map((weight) => [conversionOf(weight).name, conversionOf(weight)]));
  const graphs = [
    ...Array.from(conversions.values(), conversionGraph),
    ...Object.entries(transpositions).map(([name, permutation]) => transpositionGraph(name, permutation)),
  ];
  return new Map(graphs.map((graph) => [graph.name, serialise(graph)]));
}

/** In int8 each output gets a scale of its own, around 0: its largest weight becomes 127 or -127. */
function conversionGraph({ name, from, to, isScaled, isAddedTo, summed }: Conversion): Graph {
  const graph = createGraph(name);
  const input = (name: string, dtype: DataType) => addInput(graph, name, dtype, [anySize, anySize]);
  const cast = ops.cast(input("stored", from), "float32");
  const stored = isScaled ? ops.multiply(cast, addInput(graph, "factors", "float32", [anySize, 1])) : cast;
  const floats = isAddedTo ? ops.productPlus(input("up", "float32"), input("down", "float32"), stored) : stored;
  addOutput(graph, "sums", ops.sumsOfRows(floats));
  switch (to) {
    case "float32":
      addOutput(graph, "values", floats);
      return graph;
    case "int8": {
      const { values, scales } = quantiseRows(summed ? sumTaps(floats, summed.taps, summed.tapSums) : floats);
      addOutput(graph, "values", values);
      addOutput(graph, "scales", scales);
      return graph;
    }
  }
}

/** (rows, inputs * taps) -> (rows, inputs * sums). */
function sumTaps(floats: Edge, taps: number, tapSums: TapSums): Edge {
  const isSummed = Array.from({ length: taps }, (_, tap) => tapSums.map((sum) => Number(sum.includes(tap))));
  const matrix = ops.floats(floats.graph, isSummed.flat(), [taps, tapSums.length]);
  return ops.joinColumns(ops.matMul(ops.splitColumns(floats, taps), matrix));
}

/** float32 (rows, columns) to int8 of the same shape, and (rows). */
function quantiseRows(floats: Edge): { values: Edge; scales: Edge } {
  // Smallest and largest are the quickest way to the largest magnitude: no copy of all magnitudes is made.
  const largest = ops.maximum(ops.largestOfRows(floats), ops.absolute(ops.smallestOfRows(floats)));
  const scales = ops.divide(largest, largestInt8);
  const divisors = ops.maximum(scales, smallestStep);
  return { values: ops.quantizeLinear(floats, divisors, 0), scales };
}

function transpositionGraph(name: string, permutation: readonly number[]): Graph {
  const graph = createGraph(name);
  const shape = permutation.map(() => anySize);
  addOutput(graph, "transposed", ops.transpose(addInput(graph, "values", "int8", shape), permutation));
  return graph;
}
