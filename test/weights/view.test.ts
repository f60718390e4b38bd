/** Is every tensor read by its path, with its shape, exactly as the network says? */
import { describe, expect, it } from "vitest";
import { createCpuFp32Lowering } from "../../src/lowering/cpu/fp32.ts";
import { writeNetwork } from "../../src/models/network.ts";
import { conv2d } from "../../src/nn/convolution.ts";
import { linear } from "../../src/nn/linear.ts";
import { type DataType, elementCount } from "../../src/tensor.ts";
import type { WeightEntry } from "../../src/weights/types.ts";
import { readWeights, reshaped, rows } from "../../src/weights/view.ts";

function component(tensors: Record<string, number[]>, dtype: DataType = "float16") {
  const entry = (name: string, shape: number[]): WeightEntry => {
    return { name, dtype, shape, file: "a.safetensors", offset: 100, sizeBytes: 2 * elementCount(shape) };
  };
  const entries = Object.entries(tensors).map(([name, shape]) => [name, entry(name, shape)] as const);
  return { name: "unet" as const, config: {}, weightsFolder: "/nowhere", tensors: new Map(entries) };
}

describe("a view", () => {
  it("is a path, and the path is the tensor's name", () => {
    const { weights } = readWeights(component({ "down_blocks.0.conv.weight": [4, 2] }));
    const view = weights.at("down_blocks").at(0).at("conv");
    expect(view.path).toBe("down_blocks.0.conv");
    expect(view.tensor("weight", [4, 2])).toMatchObject({ name: "down_blocks.0.conv.weight", offset: 100 });
    expect(weights.has("down_blocks.0")).toBe(true);
    expect(weights.has("down_blocks.01")).toBe(false);
    expect(weights.has("down")).toBe(false);
  });

  it("says which tensor is not as expected, and what was", () => {
    const { weights } = readWeights(component({ "conv.weight": [640], "conv.ids": [3] }));
    expect(() => weights.at("conv").tensor("weight", [320])).toThrow(
      "unet: conv.weight has shape [640], expected [320]; is this the checkpoint's own config.json?",
    );
    expect(() => weights.tensor("conv.bias", [320])).toThrow("unet: conv.bias is missing, expected shape [320]");
    const integers = readWeights(component({ ids: [3] }, "int64"));
    expect(() => integers.weights.tensor("ids", [3])).toThrow(
      "unet: ids has dtype int64, expected float32, float16, bfloat16",
    );
  });

  it("accounts for every tensor", () => {
    const reader = readWeights(component({ a: [1], "b.c": [1], "b.d": [1], e: [1] }));
    reader.weights.tensor("a", [1]);
    reader.weights.withoutEffect("b");
    expect(() => reader.assertAllUsed()).toThrow(
      "1 of 4 tensors have no place in the network that config.json describes: e",
    );
    reader.weights.tensor("e", [1]);
    reader.assertAllUsed();
  });

  it("gives rows and other shapes of the same bytes", () => {
    const { weights } = readWeights(component({ w: [6, 4] }));
    const weight = weights.tensor("w", [6, 4]);
    expect(rows(weight, 2, 5)).toMatchObject({ shape: [3, 4], offset: 100 + 2 * 8, sizeBytes: 24 });
    expect(reshaped(weight, [3, 8])).toMatchObject({ shape: [3, 8], offset: 100, sizeBytes: 48 });
    expect(() => reshaped(weight, [5])).toThrow(/cannot be read as/);
  });
});

describe("layers", () => {
  const write = (tensors: Record<string, number[]>) => () =>
    writeNetwork("test", component(tensors), createCpuFp32Lowering, (w, lowering) => {
      const x = conv2d(w.at("conv"), lowering.input("x", [1, 4, 4, 2]), 3);
      lowering.output("y", linear(w.at("linear"), x, 5, "without bias"));
    });

  it("miss a bias that the network has", () => {
    expect(write({ "conv.weight": [3, 2, 3, 3], "linear.weight": [5, 3] })).toThrow(/conv\.bias is missing/);
  });

  it("name a bias that the network has not", () => {
    const tensors = { "conv.weight": [3, 2, 3, 3], "conv.bias": [3], "linear.weight": [5, 3] };
    expect(write({ ...tensors, "linear.bias": [5] })).toThrow(/have no place in the network .*: linear\.bias/);
    expect(write(tensors)).not.toThrow();
  });
});
