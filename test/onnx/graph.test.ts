/** Does the graph layer know shapes, refuse what does not fit, and serialise what ONNX Runtime reads back? */
import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { StillmotionError } from "../../src/errors.ts";
import { addConstant, addExternal, addInput, addOutput, createGraph, type Edge } from "../../src/onnx/graph.ts";
import * as ops from "../../src/onnx/ops.ts";
import { ModelProtoSchema } from "../../src/onnx/proto/onnx_pb.ts";
import { serialise } from "../../src/onnx/serialise.ts";
import { testEngine } from "../support/evaluate.ts";

const input = (shape: number[]) => addInput(createGraph("test"), "x", "float32", shape);

describe("shape rules", () => {
  it("follow each operator", () => {
    const x = input([2, 6, 7, 10]);
    const weight = ops.floats(x.graph, new Float32Array(5 * 6 * 9), [5, 6, 3, 3]);
    expect(ops.conv(x, weight, undefined, { strides: [2, 2], pads: [0, 0, 1, 1] }).shape).toEqual([2, 5, 3, 5]);
    expect(ops.transpose(x, [0, 2, 3, 1]).shape).toEqual([2, 7, 10, 6]);
    expect(ops.concat([x, x], 1).shape).toEqual([2, 12, 7, 10]);
    expect(ops.slice(x, 3, 2, 5).shape).toEqual([2, 6, 7, 3]);
    expect(ops.add(x, ops.floats(x.graph, new Float32Array(6), [6, 1, 1])).shape).toEqual([2, 6, 7, 10]);
    expect(ops.reduceMean(x, [1, 2]).shape).toEqual([2, 1, 1, 10]);
    expect(ops.upsampleNearest2x(x).shape).toEqual([2, 6, 14, 20]);
  });

  it.each([
    [
      "a convolution over other channels",
      (x: Edge) =>
        ops.conv(x, ops.floats(x.graph, new Float32Array(9), [1, 1, 3, 3]), undefined, {
          strides: [1, 1],
          pads: [0, 0, 0, 0],
        }),
    ],
    ["a reshape to another size", (x: Edge) => ops.reshape(x, [3, 3])],
    ["a slice beyond the end", (x: Edge) => ops.slice(x, 1, 4, 9)],
    ["shapes that do not broadcast", (x: Edge) => ops.add(x, ops.floats(x.graph, [1, 2, 3]))],
    ["a concatenation of unequal sizes", (x: Edge) => ops.concat([x, ops.transpose(x, [1, 0, 2, 3])], 3)],
    [
      "products of batches of other sizes",
      (x: Edge) => {
        const flat = ops.reshape(x, [12, 7, 10]);
        return ops.batchedMatMul(flat, flat, { aBatchSecond: true, transposeB: true });
      },
    ],
    ["scales that are not one for each item", (x: Edge) => ops.dequantizeLinear(x, ops.floats(x.graph, [1, 2, 3]), 0)],
    ["attention with heads that do not divide the channels", (x: Edge) => ops.multiHeadAttention(x, x, x, 3)],
    [
      "a product with a weight of other inputs",
      (x: Edge) => ops.gemm(ops.reshape(x, [12, 70]), ops.floats(x.graph, [1, 2], [1, 2])),
    ],
  ])("refuse %s where it is written", (_, write) => {
    expect(() => write(input([2, 6, 7, 10]))).toThrow(StillmotionError);
  });
});

describe("constants", () => {
  it("are stored once when equal, also large ones", () => {
    const { graph } = input([1]);
    expect(ops.floats(graph, [1, 2, 3])).toBe(ops.floats(graph, [1, 2, 3]));
    expect(ops.floats(graph, [1, 2, 3])).not.toBe(ops.floats(graph, [1, 2, 3], [3, 1]));
    const large = Float32Array.from({ length: 1000 }, (_, i) => i);
    expect(ops.floats(graph, large)).toBe(ops.floats(graph, large));
    expect(ops.floats(graph, large.with(500, -1))).not.toBe(ops.floats(graph, large));
  });
});

describe("serialised graphs", () => {
  const engine = testEngine();

  it("have what is made of weights alone first, so that each is made right before its use", () => {
    const x = input([2, 3]);
    const weight = { file: "model.safetensors", offset: 0, sizeBytes: 12 };
    const asStored = addExternal(x.graph, "weight", "float16", [2, 3], weight);
    addOutput(x.graph, "y", ops.add(ops.sqrt(x), ops.cast(asStored, "float32")));
    const { node } = fromBinary(ModelProtoSchema, serialise(x.graph)).graph!;
    expect(node.map(({ opType }) => opType)).toEqual(["Cast", "Sqrt", "Add", "Identity"]);
  });

  it("leave absent inputs out of a node, and name them empty only where another one follows", () => {
    const x = input([1, 2, 4, 4]);
    const weight = ops.floats(x.graph, new Float32Array(2), [1, 2, 1, 1]);
    const planes = ops.conv(x, weight, undefined, { strides: [1, 1], pads: [0, 0, 0, 0] });
    addOutput(x.graph, "y", ops.upsampleNearest2x(planes));
    const [conv, resize] = x.graph.nodes;
    expect(conv!.inputs).toEqual([x.name, weight.name]);
    expect(resize!.inputs).toEqual([planes.name, "", expect.any(String)]);
  });

  it("carry weights as external data: file, offset and length", () => {
    const { graph } = input([1]);
    addExternal(graph, "conv_in.weight", "float16", [2, 3], { file: "model.safetensors", offset: 1237, sizeBytes: 12 });
    const { initializer } = fromBinary(ModelProtoSchema, serialise(graph)).graph!;
    expect(initializer[0]!.externalData.map(({ key, value }) => [key, value])).toEqual([
      ["location", "model.safetensors"],
      ["offset", "1237"],
      ["length", "12"],
    ]);
    expect(() =>
      addExternal(graph, "other", "float32", [2, 3], { file: "model.safetensors", offset: 0, sizeBytes: 12 }),
    ).toThrow(/needs 24 bytes, its file gives 12/);
  });

  it("run", async () => {
    const x = input([2, 3]);
    const bias = addConstant(x.graph, { dtype: "float32", shape: [3], data: Float32Array.of(10, 20, 30) });
    addOutput(x.graph, "y", ops.add(ops.multiply(x, x), bias));
    const session = await engine().load({ name: "test", bytes: serialise(x.graph) });
    const { y } = await session.run({
      x: { dtype: "float32", shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) },
    });
    expect([...(y!.data as Float32Array)]).toEqual([11, 24, 39, 26, 45, 66]);
    await session.release();
  });
});
