/** Does an operator refuse dtypes that it cannot take together, where it is written, and is there none whose work is unknown? */
import { describe, expect, it } from "vitest";
import { StillmotionError } from "../../src/errors.ts";
import { floatsOf } from "../../src/floats.ts";
import { float32ToFloat16 } from "../../src/half.ts";
import { attendAcrossItems } from "../../src/lowering/cpu/attention-across-items.ts";
import { normalisePlanes, normaliseTokens, planesStatistics } from "../../src/lowering/cpu/group-norm.ts";
import { convolveTiles, largeTiles, smallTiles, transformKernel } from "../../src/lowering/cpu/winograd.ts";
import { peakBufferBytes } from "../../src/onnx/buffers.ts";
import { addInput, addNode, addOutput, createGraph, type Edge, type Graph } from "../../src/onnx/graph.ts";
import { moving, type Operator, onnx } from "../../src/onnx/operators/operator.ts";
import * as ops from "../../src/onnx/ops.ts";
import { serialise } from "../../src/onnx/serialise.ts";
import { workOf } from "../../src/onnx/work.ts";
import type { DataType } from "../../src/tensor.ts";
import { testEngine } from "../support/evaluate.ts";

/** Inputs of one graph by their names: `edges.half([2, 3])` is `half`, in float16. */
function inputs(graph = createGraph("test")) {
  const input = (name: string, dtype: DataType) => (shape: number[]) => addInput(graph, name, dtype, shape);
  return { float: input("float", "float32"), half: input("half", "float16"), bytes: input("bytes", "uint8") };
}

describe("dtypes that are mixed", () => {
  it.each<[string, (edges: ReturnType<typeof inputs>) => Edge]>([
    ["Add", ({ float, half }) => ops.add(float([2, 3]), half([2, 3]))],
    ["Mul", ({ float, half }) => ops.multiply(float([2, 3]), half([3]))],
    ["Concat", ({ float, half }) => ops.concat([float([2, 3]), half([2, 3])], 0)],
    ["Sum", ({ float, half }) => ops.sumOfScalars([float([]), half([])])],
    ["MatMul", ({ float, half }) => ops.matMul(float([2, 3]), half([3, 4]))],
    ["Gemm", ({ float, half }) => ops.gemm(float([2, 3]), half([4, 3]))],
    ["FusedMatMul", ({ float, half }) => ops.batchedMatMul(float([1, 2, 3]), half([1, 3, 4]), {})],
    ["LayerNormalization", ({ float, half }) => ops.layerNormalization(float([2, 3]), half([3]), undefined, 1e-5)],
    ["Pad", ({ float, half }) => ops.pad(float([2, 3]), [0, 0], [0, 1], half([]))],
    ["BatchNormalization", ({ float, half }) => ops.scaleAndShift(float([1, 3, 4]), half([3]), half([3]))],
    [
      "Conv",
      ({ float, half }) =>
        ops.conv(float([1, 2, 4, 4]), half([2, 2, 1, 1]), undefined, { strides: [1, 1], pads: [0, 0, 0, 0] }),
    ],
  ])("are an error of %s, which names both", (operator, write) => {
    expect(() => write(inputs())).toThrow(
      expect.objectContaining({
        code: "internal",
        message: `graph test: ${operator} takes inputs of one dtype, but float is float32 and half is float16; cast one of them`,
      }),
    );
  });

  it("are one for any of an operator's inputs, at the line that writes it", () => {
    const { float, half } = inputs();
    const [rows, bias] = [float([2, 3]), half([4])];
    const weight = ops.floats(rows.graph, new Float32Array(12), [4, 3]);
    let thrown: unknown;
    const writeLayer = () => ops.gemm(rows, weight, bias);
    try {
      writeLayer();
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(StillmotionError);
    expect((thrown as StillmotionError).stack).toContain("writeLayer");
    expect((thrown as StillmotionError).message).toContain("Gemm takes inputs of one dtype, but float is");
    expect(rows.graph.nodes).toEqual([]);
  });
});

it.each<[string, (edges: ReturnType<typeof inputs>) => Edge, string]>([
  ["no float is", ({ bytes }) => ops.sigmoid(bytes([2])), "Sigmoid takes float32 or float16 or bfloat16 as input 1"],
  [
    "no place is",
    ({ float }) => gatherWith(float([2])),
    "Gather takes int64 or int32 as input 2, but float is float32",
  ],
  [
    "only float32 would do",
    ({ half }) => ops.dynamicQuantizeLinear(half([2])).bytes,
    "DynamicQuantizeLinear takes float32 as input 1, but half is float16",
  ],
])("a dtype is refused where %s", (_, write, message) => {
  expect(() => write(inputs())).toThrow(message);
});

const gatherWith = (indices: Edge) => ops.gather(ops.floats(indices.graph, [1, 2, 3]), indices, 0);

describe("a result's dtype", () => {
  it("is that of its inputs, unless the operator says otherwise", () => {
    const { half } = inputs();
    const x = half([2, 3]);
    expect(ops.add(x, x).dtype).toBe("float16");
    expect(ops.reshape(x, [6]).dtype).toBe("float16");
    expect(ops.reduceMean(x, [1]).dtype).toBe("float16");
    expect(ops.cast(x, "float32").dtype).toBe("float32");
    const scales = ops.numbersLike(x, [1, 1]);
    const bytes = ops.quantizeLinear(x, scales, 0);
    expect(bytes.dtype).toBe("int8");
    expect(ops.dequantizeLinear(bytes, scales, 0).dtype).toBe("float16");
  });

  it("of a quantised tensor is one for each part", () => {
    const { bytes, scale, zeroPoint } = ops.dynamicQuantizeLinear(inputs().float([2]));
    expect([bytes, scale, zeroPoint].map(({ dtype }) => dtype)).toEqual(["uint8", "float32", "uint8"]);
  });
});

describe("numbers take the dtype of what they meet", () => {
  const engine = testEngine();

  it.each<[DataType, unknown]>([
    ["float32", Float32Array.of(1.5)],
    ["float16", Uint16Array.of(0x3e00)],
    ["bfloat16", Uint16Array.of(0x3fc0)],
    ["int32", Int32Array.of(1)],
    ["int64", BigInt64Array.of(1n)],
  ])("%s", (dtype, data) => {
    const x = addInput(createGraph("test"), "x", dtype, [2]);
    const value = dtype.startsWith("int") ? 1 : 1.5;
    for (const y of [ops.add(x, value), ops.subtract(value, x)]) expect(y).toMatchObject({ dtype, shape: [2] });
    const constants = Array.from(x.graph.initializers.values());
    expect(constants).toEqual([{ value: expect.objectContaining({ dtype, shape: [] }), data }]);
  });

  it("so that a graph may be float16 throughout, and runs", async () => {
    const graph = createGraph("test");
    const x = addInput(graph, "x", "float16", [2, 3]);
    addOutput(graph, "y", ops.multiply(ops.subtract(1, x), 2));
    const session = await engine().load({ name: "test", bytes: serialise(graph) });
    const data = float32ToFloat16(Float32Array.of(0, 1, 2, -1, 0.5, 4));
    const { y } = await session.run({ x: { dtype: "float16", shape: [2, 3], data } });
    expect(y!.dtype).toBe("float16");
    expect([...floatsOf(y!)]).toEqual([2, 0, -2, 4, 1, -6]);
    await session.release();
  });

  it.each<[string, (edges: ReturnType<typeof inputs>, graph: Graph) => Edge]>([
    ["group norm of planes", ({ half }) => groupNorm(half([1, 4, 3, 3]), normalisePlanes)],
    ["group norm of tokens", ({ half }) => groupNorm(half([1, 9, 4]), (...all) => normaliseTokens(...all).normalised)],
    ["statistics of planes", ({ half }) => planesStatistics(half([1, 4, 3, 3]), 2).variance],
    ["attention across items", ({ half }) => across(half([3, 2, 8]))],
    ["a convolution in tiles", ({ half }) => inTiles(half([2, 2, 6, 6]), largeTiles)],
    ["a convolution of a small map in tiles", ({ half }) => inTiles(half([1, 2, 3, 3]), smallTiles)],
    ["a doubled map", ({ half }) => ops.upsampleNearest2x(half([1, 2, 3, 3]))],
  ])("in %s", (_, write) => {
    const graph = createGraph("test");
    expect(write(inputs(graph), graph).dtype).toBe("float16");
    const made = graph.nodes.flatMap(({ outputs }) => outputs).map((name) => graph.edges.get(name)!.dtype);
    expect(new Set(made.filter((dtype) => dtype !== "int32"))).toEqual(new Set(["float16"])); // places are int32
  });
});

const perChannel = (x: Edge) => ops.numbersLike(x, new Float32Array(4).fill(1));
const groupNorm = (x: Edge, write: (...args: Parameters<typeof normalisePlanes>) => Edge) =>
  write(x, perChannel(x), perChannel(x), { groups: 2, eps: 1e-5 });
const across = (x: Edge) => attendAcrossItems(x, x, x, 2);
const inTiles = (x: Edge, tiles: typeof largeTiles) => {
  const kernel = ops.numbersLike(x, new Float32Array(36), [2, 2, 3, 3]);
  return convolveTiles(x, [transformKernel(kernel, tiles)], ops.numbersLike(x, [0, 0]), tiles);
};

describe("what an operator costs", () => {
  const described: Operator = { name: "Erf", set: onnx, takes: ["F"], gives: ["F"], ...moving };

  it("must be said where it is described, in TypeScript", () => {
    // @ts-expect-error what it multiplies is left out
    const noWork: Operator = { name: "Erf", set: onnx, takes: ["F"], gives: ["F"], ...without("multiplies") };
    // @ts-expect-error which bytes it moves is left out
    const noBytes: Operator = { name: "Erf", set: onnx, takes: ["F"], gives: ["F"], ...without("moves") };
    // @ts-expect-error which buffer its result gets is left out
    const noBuffer: Operator = { name: "Erf", set: onnx, takes: ["F"], gives: ["F"], ...without("buffer") };
    // @ts-expect-error what it takes while it runs is left out
    const noScratch: Operator = { name: "Erf", set: onnx, takes: ["F"], gives: ["F"], ...without("scratch") };
    for (const operator of [noWork, noBytes]) expect(() => workOf(graphOf(operator))).toThrow();
    for (const operator of [noBuffer, noScratch]) expect(() => peakBufferBytes(graphOf(operator))).toThrow();
  });

  it("is in the plan then", () => {
    const moved = (operator: Operator) => workOf(graphOf(operator)).movedBytes;
    expect(moved(described) - moved({ ...described, moves: "nothing" })).toBe(4 * (1000 + 1000));
    const product = { kind: "product", count: () => 77 } as const;
    expect(workOf(graphOf({ ...described, multiplies: product })).multiplications.product).toBe(77);
    const extra = (operator: Operator) => peakBufferBytes(graphOf(operator)) - peakBufferBytes(graphOf(described));
    expect(extra({ ...described, scratch: { bytes: () => 500 } })).toBe(500);
    expect(extra({ ...described, buffer: { overwrites: [0] } })).toBe(-4000 + 4); // the mean lies beside it then
  });

  it("does not depend on inputs that it was not described with", () => {
    const x = inputs().float([2]);
    expect(() => addNode(described, [x, x], [2])).toThrow("graph test: Erf takes 1 inputs and was given 2");
  });

  it("may depend on attributes, which must be given", () => {
    const withAxis: Operator<{ axis: number }> = described;
    const x = inputs().float([2]);
    // @ts-expect-error the axis is left out
    addNode(withAxis, [x], [2]);
    addNode(withAxis, [x], [2], { axis: 0 });
  });
});

function without<Fact extends keyof typeof moving>(fact: Fact): Omit<typeof moving, Fact> {
  const { [fact]: _, ...others } = moving;
  return others;
}

/** The operator between two others, so that no value is an input or a result of the graph. */
function graphOf(operator: Operator): Graph {
  const x = ops.sqrt(addInput(createGraph("test"), "x", "float32", [1000]));
  addOutput(x.graph, "y", ops.reduceMean(addNode(operator, [x], x.shape), [0]));
  return x.graph;
}
