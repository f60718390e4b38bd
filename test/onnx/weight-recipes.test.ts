/** Are the facts of each weight recipe those that sessions, plans and threads go by? */
import { describe, expect, it } from "vitest";
import { addFloatWeight, addInt8Matrix, addInt8Rows, createGraph, type Graph } from "../../src/onnx/graph.ts";
import { memoryOf } from "../../src/onnx/memory.ts";
import type { StoredWeight } from "../../src/onnx/stored-weight.ts";
import {
  conversionOf,
  floatWeight,
  int8Matrix,
  int8Rows,
  madeTensors,
  type PreparedWeight,
  packedTensors,
  threadBytes,
  transpositionsOf,
} from "../../src/onnx/weight-recipes.ts";
import { floatTensor } from "../../src/tensor.ts";

const source = (shape: readonly number[]): StoredWeight => ({
  dtype: "float16",
  shape,
  file: "weights.bin",
  offset: 0,
});
const kernel = source([64, 32, 3, 3]);
const linear = source([64, 32]);
const tapSums = [[0], [1, 2], [4, 5, 7, 8]];

describe("what is made of a weight", () => {
  it.each<[string, PreparedWeight, unknown[]]>([
    ["in fp32", floatWeight("w", kernel), [["w:float32", "float32", [64, 32, 3, 3]]]],
    [
      "as int8 rows",
      int8Rows("w", kernel),
      [
        ["w:int8 rows", "int8", [64, 32, 3, 3]],
        ["w:scales", "float32", [64]],
      ],
    ],
    [
      "as an int8 matrix",
      int8Matrix("w", kernel),
      [
        ["w:int8 matrix", "int8", [9 * 32, 64]],
        ["w:scales", "float32", [64]],
      ],
    ],
    [
      "as an int8 matrix of summed taps",
      int8Matrix("w", kernel, tapSums),
      [
        ["w:int8 matrix of taps 0 1+2 4+5+7+8", "int8", [3 * 32, 64]],
        ["w:scales of taps 0 1+2 4+5+7+8", "float32", [64]],
      ],
    ],
  ])("%s", (_, weight, made) => {
    expect(madeTensors(weight).map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual(made);
  });

  it("is moved where the matrix lies otherwise than the rows that are converted", () => {
    expect(transpositionsOf(floatWeight("w", kernel))).toEqual([]);
    expect(transpositionsOf(int8Rows("w", kernel))).toEqual([]);
    expect(transpositionsOf(int8Matrix("w", linear))).toEqual(["outputsLast"]);
    expect(transpositionsOf(int8Matrix("w", kernel))).toEqual(["tapsFirst", "outputsLast"]);
    expect(transpositionsOf(int8Matrix("w", kernel, tapSums))).toEqual(["tapsFirst", "outputsLast"]);
    expect(transpositionsOf(int8Matrix("w", kernel, [[0, 1, 2, 3, 4, 5, 6, 7, 8]]))).toEqual(["outputsLast"]);
  });

  it("is converted by one graph for all that are alike", () => {
    const names = [int8Rows("a", kernel), int8Matrix("b", linear), int8Matrix("c", kernel)].map(
      (weight) => conversionOf(weight).name,
    );
    expect(new Set(names)).toEqual(new Set(["float16 to int8"]));
    expect(conversionOf(floatWeight("w", kernel)).name).toBe("float16 to float32");
    expect(conversionOf(int8Matrix("w", kernel, tapSums)).name).toBe("float16 to int8 of taps 0 1+2 4+5+7+8");
  });
});

describe("what a weight takes", () => {
  const loading = (write: (graph: Graph) => unknown) => {
    const graph = createGraph("test");
    write(graph);
    const { weightsBytes, loadBytes, loadThreadBytes } = memoryOf(graph);
    return { weightsBytes: weightsBytes - memoryOf(createGraph("empty")).weightsBytes, loadBytes, loadThreadBytes };
  };
  const int8Bytes = 64 * 32 * 9;

  it("is what the session reads, and of a matrix the same once more while it is packed", () => {
    expect(loading((graph) => addFloatWeight(graph, "w", kernel))).toMatchObject({
      weightsBytes: 4 * int8Bytes,
      loadBytes: 0,
    });
    const held = int8Bytes + 4 * 64;
    expect(loading((graph) => addInt8Rows(graph, "w", kernel))).toMatchObject({ weightsBytes: held, loadBytes: 0 });
    expect(loading((graph) => addInt8Matrix(graph, "w", kernel))).toMatchObject({
      weightsBytes: held,
      loadBytes: int8Bytes,
    });
    const weights = [floatWeight("a", kernel), int8Rows("b", kernel), int8Matrix("c", kernel)];
    expect(packedTensors(weights)).toEqual([weights[2]!.values]);
  });

  it("is, in each thread that makes it, what LoRAs add to it, whichever the recipe", () => {
    const up = floatTensor([64, 2]);
    const down = floatTensor([2, 32 * 9]);
    const withLora = { ...kernel, additions: [{ scale: 1, up, down }] };
    for (const recipe of [floatWeight, int8Rows, int8Matrix]) {
      expect(threadBytes(recipe("w", withLora))).toBe(4 * (64 * 2 + 2 * 32 * 9));
      expect(threadBytes(recipe("w", kernel))).toBe(0);
      expect(conversionOf(recipe("w", withLora))).toMatchObject({ isAddedTo: true });
    }
  });
});
