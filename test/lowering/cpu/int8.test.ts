/**
 * Does the int8 lowering compute what the fp32 one does: exactly where bytes hold the numbers, else about as well as bf16?
 *
 * Golden: python -m reference.golden ops (reference/golden/ops.py), torch 2.15.0
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { areFinite } from "../../../src/finite.ts";
import { createCpuFp32Lowering } from "../../../src/lowering/cpu/fp32.ts";
import { createCpuInt8Lowering } from "../../../src/lowering/cpu/int8.ts";
import { stored } from "../../../src/lowering/cpu/values.ts";
import type { Value } from "../../../src/lowering/lowering.ts";
import { disk } from "../../../src/node/files/disk.ts";
import { createGraph } from "../../../src/onnx/graph.ts";
import { elementCount, type FloatTensor, floatTensor } from "../../../src/tensor.ts";
import { readSingleWeights } from "../../../src/weights/checkpoint/component-weights.ts";
import { encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import { evaluate, noWeights, testEngine, type WeightsSource, type Workbench } from "../../support/evaluate.ts";
import { expectClose, goldenWeights, readGolden } from "../../support/golden.ts";

const engine = testEngine();
const folder = mkdtempSync(join(tmpdir(), "cpu-int8-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A weight whose scales are 1: whole numbers, 127 in each output. */
function wholeWeight(shape: readonly number[]): FloatTensor {
  const perOutput = elementCount(shape.slice(1));
  return floatTensor(
    shape,
    Float32Array.from({ length: elementCount(shape) }, (_, index) =>
      index % perOutput === 0 ? 127 : ((index * 37) % 255) - 127,
    ),
  );
}

/** Values whose scale is 1: whole numbers from -100 to 155. */
function wholeValues(shape: readonly number[]): FloatTensor {
  const { data } = floatTensor(shape);
  for (const index of data.keys()) data[index] = ((index * 97) % 256) - 100;
  data[0] = -100;
  data[1] = 155;
  return floatTensor(shape, data);
}

async function weightsOf(tensors: Record<string, FloatTensor>): Promise<WeightsSource> {
  writeFileSync(join(folder, "weights.safetensors"), encodeSafetensors(tensors));
  return { name: "unet", ...(await readSingleWeights(disk, folder, "weights.safetensors")) };
}

const maps = [3, 64, 6, 8]; // (frames, channels, height, width)
const convolution = (kernel: number, stride: number, padding: [number, number, number, number]) => ({
  shape: [32, 64, kernel, kernel],
  build: ({ w, lowering }: Workbench, x: Value) =>
    lowering.conv2d(x, w.tensor("weight", [32, 64, kernel, kernel]), w.tensor("bias", [32]), { stride, padding }),
});
const overFrames = (gain?: number) => ({
  shape: [32, 64, 3, 1, 1],
  build: ({ w, lowering }: Workbench, x: Value) => {
    const factor = gain === undefined ? undefined : lowering.constant([1], Float32Array.of(gain));
    return lowering.temporalConv(x, w.tensor("weight", [32, 64, 3, 1, 1]), w.tensor("bias", [32]), factor);
  },
});

describe("a product of whole numbers is exact", () => {
  it.each([
    ["3x3 convolution", convolution(3, 1, [1, 1, 1, 1])],
    ["convolution that halves", convolution(3, 2, [1, 1, 1, 1])],
    ["convolution padded below and right", convolution(3, 2, [0, 0, 1, 1])],
    ["convolution over frames", overFrames()],
    ["convolution over frames with a gain", overFrames(0.25)],
  ])("%s", async (_, { shape, build }) => {
    const source = await weightsOf({ weight: wholeWeight(shape), bias: wholeValues([32]) });
    const run = (createLowering: typeof createCpuFp32Lowering) =>
      evaluate(engine(), source, (bench) => ({ y: build(bench, bench.map(wholeValues(maps))) }), { createLowering });
    expect((await run(createCpuInt8Lowering)).y).toEqual((await run(createCpuFp32Lowering)).y);
  });

  it.each([
    ["to twice the size, as four convolutions of the map itself", 12, 16, 4],
    ["to an odd size, as one of the doubled map", 11, 15, 1],
  ])("3x3 convolution of a map brought %s", async (_, height, width, matrices) => {
    const shape = [32, 64, 3, 3];
    // The first tap of an output is 127, and no sum of up to four others is more.
    const weight = floatTensor(
      shape,
      wholeWeight(shape).data.map((value, index) =>
        index % (64 * 9) === 0 ? 127 : index % (64 * 9) < 9 ? 0 : Math.trunc(value / 4.1),
      ),
    );
    const source = await weightsOf({ weight, bias: wholeValues([32]) });
    let prepared = 0;
    const run = (createLowering: typeof createCpuFp32Lowering) =>
      evaluate(
        engine(),
        source,
        ({ w, lowering, map }) => {
          const [kernel, bias] = [w.tensor("weight", shape), w.tensor("bias", [32])];
          const y = lowering.upsampleConv2d(map(wholeValues(maps)), kernel, bias, { height, width });
          prepared = stored(y, "last").graph.prepared.length;
          return { y };
        },
        { createLowering },
      );
    const exact = await run(createCpuFp32Lowering);
    expect((await run(createCpuInt8Lowering)).y).toEqual(exact.y);
    expect(prepared).toBe(matrices);
  });

  it("linear layer, also of two that read one value", async () => {
    const source = await weightsOf({ "a.weight": wholeWeight([32, 48]), "b.weight": wholeWeight([64, 48]) });
    const run = (createLowering: typeof createCpuFp32Lowering) =>
      evaluate(
        engine(),
        source,
        ({ w, lowering, value }) => {
          const x = value(wholeValues([2, 5, 48]));
          return {
            a: lowering.linear(x, w.tensor("a.weight", [32, 48]), undefined),
            b: lowering.linear(x, w.tensor("b.weight", [64, 48]), undefined),
          };
        },
        { createLowering },
      );
    expect(await run(createCpuInt8Lowering)).toEqual(await run(createCpuFp32Lowering));
  });
});

it("a tensor is quantised once for all products that read it", () => {
  const graph = createGraph("test");
  const lowering = createCpuInt8Lowering(graph);
  const x = lowering.input("x", [1, 4, 32]);
  for (const name of ["q", "k", "v"]) {
    lowering.linear(x, { name, dtype: "float16", shape: [32, 32], file: "f", offset: 0, sizeBytes: 2048 }, undefined);
  }
  const count = (operator: string) => graph.nodes.filter((node) => node.operator.name === operator).length;
  expect([count("DynamicQuantizeLinear"), count("MatMulIntegerToFloat")]).toEqual([1, 3]);
});

it("what is written exactly has no bytes in it, and what follows has", () => {
  const graph = createGraph("test");
  const lowering = createCpuInt8Lowering(graph);
  const sizeBytes = 2 * 32 * 32 * 9;
  const weight = { dtype: "float16", shape: [32, 32, 3, 3], file: "f", offset: 0, sizeBytes } as const;
  const convolve = (x: Value, name: string) =>
    x.lowering.conv2d(x, { name, ...weight }, undefined, { stride: 1, padding: [1, 1, 1, 1] });
  const exact = lowering.exactly([lowering.input("x", [1, 4, 4, 32])], ([x]) => convolve(convolve(x!, "a"), "b"));
  expect(graph.prepared).toEqual([]);
  convolve(exact, "c");
  expect(graph.prepared.map(({ kind }) => kind)).toEqual(["int8 matrix"]);
});

it.each([
  ["rows, which a whole clip is conditioned on", [1, 64], [32, 64]],
  ["few inputs, such as latents", [2, 4, 4, 8], [32, 8, 3, 3]],
  ["one tap, which takes a map past a block", [2, 4, 4, 64], [32, 64, 1, 1]],
  ["few outputs", [2, 4, 4, 64], [4, 64, 3, 3]],
])("a product of %s stays in fp32", (_, shape, weightShape) => {
  const graph = createGraph("test");
  const lowering = createCpuInt8Lowering(graph);
  const x = lowering.input("x", shape);
  const sizeBytes = 4 * elementCount(weightShape);
  const weight = { name: "w", dtype: "float32", shape: weightShape, file: "f", offset: 0, sizeBytes } as const;
  if (shape.length === 2) lowering.linear(x, weight, undefined);
  else lowering.conv2d(x, weight, undefined, { stride: 1, padding: [0, 0, 0, 0] });
  expect(graph.prepared).toEqual([]);
  expect(graph.nodes.some(({ operator }) => operator.name === "DynamicQuantizeLinear")).toBe(false);
});

describe("what bytes hide is told beside the output:", () => {
  const wide = [1, 64, 6, 8]; // (frames, channels, height, width)
  const changed = (value: number) => {
    const map = wholeValues(wide);
    map.data[1000] = value;
    return map;
  };

  it.each<[string, (bench: Workbench, value: number) => Value, number]>([
    ["infinity in what is brought to bytes", ({ map }, value) => map(changed(value)), Number.POSITIVE_INFINITY],
    [
      "NaN in what was normalised",
      ({ w, lowering, map }, value) =>
        lowering.groupNorm(map(changed(value)), w.tensor("norm", [64]), w.tensor("norm", [64]), {
          ...{ groups: 8, eps: 1e-5, over: "frame" },
        }),
      Number.NaN,
    ],
    [
      "attention whose queries overflow",
      ({ w, lowering, map }, value) => {
        const tokens = lowering.reshape(map(changed(value)), [1, 48, 64]);
        const attended = lowering.attention(tokens, tokens, tokens, 2);
        return lowering.reshape(lowering.linear(attended, w.tensor("to_out", [64, 64]), undefined), [1, 6, 8, 64]);
      },
      3e38,
    ],
  ])("%s", async (_, write, value) => {
    const { shape, build } = convolution(3, 1, [1, 1, 1, 1]);
    const others = { norm: wholeValues([64]), to_out: wholeWeight([64, 64]) };
    const source = await weightsOf({ weight: wholeWeight(shape), bias: wholeValues([32]), ...others });
    const isTraceFinite = async (value: number) => {
      const outputs = await evaluate(
        engine(),
        source,
        (bench) => {
          for (const [name, { shape }] of Object.entries(others)) bench.w.tensor(name, shape);
          return { y: build(bench, write(bench, value)) };
        },
        { createLowering: createCpuInt8Lowering },
      );
      return areFinite(outputs["y, trace"]!.data as Float32Array);
    };
    expect({ finite: await isTraceFinite(7), notFinite: await isTraceFinite(value) }).toEqual({
      finite: true,
      notFinite: false,
    });
  });
});

describe("what is no product is as exact as in fp32", () => {
  it.each(["group-norm-eps-1e-6", "group-norm-large-mean", "group-norm-small-variance"])("%s", async (name) => {
    const golden = await readGolden("lowering", "golden", `${name}.safetensors`);
    const { groups, eps } = golden.config as { groups: number; eps: number };
    const input = golden.tensor("input.x");
    const channels = input.shape[1]!;
    const { y } = await evaluate(
      engine(),
      await goldenWeights(golden),
      ({ w, lowering, map }) => {
        const [weight, bias] = [w.tensor("weight", [channels]), w.tensor("bias", [channels])];
        return { y: lowering.groupNorm(map(input), weight, bias, { groups, eps, over: "frame" }) };
      },
      { createLowering: createCpuInt8Lowering },
    );
    expectClose(y!, golden.tensor("output.y"), golden.tolerance, name);
  });

  it("upsampling, also to an odd size, and joining of channels", async () => {
    const build = ({ lowering, map }: Workbench) => {
      const x = map(wholeValues(maps));
      return {
        doubled: lowering.upsampleNearest(x, 12, 16),
        odd: lowering.upsampleNearest(x, 11, 15),
        joined: lowering.concat([x, map(wholeValues([3, 5, 6, 8]))], 3),
      };
    };
    const run = (createLowering: typeof createCpuFp32Lowering) =>
      evaluate(engine(), noWeights, build, { createLowering });
    expect(await run(createCpuInt8Lowering)).toEqual(await run(createCpuFp32Lowering));
  });
});
