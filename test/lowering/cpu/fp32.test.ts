/**
 * Does each operation of the fp32 lowering give what torch gives?
 *
 * Golden: python -m reference.golden ops (reference/golden/ops.py), torch 2.15.0
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createCpuFp32Lowering } from "../../../src/lowering/cpu/fp32.ts";
import type { Activation, CreateLowering, Value } from "../../../src/lowering/lowering.ts";
import { sinusoidalEmbedding } from "../../../src/nn/embedding.ts";
import { linear } from "../../../src/nn/linear.ts";
import { createGraph } from "../../../src/onnx/graph.ts";
import { createGenerator } from "../../../src/random/generator.ts";
import { randn } from "../../../src/random/randn.ts";
import { gatherClipStatistics } from "../../../src/streaming/clip-statistics.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../../../src/tensor.ts";
import {
  evaluate,
  noWeights,
  smallLowering,
  testEngine,
  type WeightsSource,
  type Workbench,
} from "../../support/evaluate.ts";
import {
  expectClose,
  type Golden,
  goldenWeights,
  items,
  permuted,
  readGolden,
  reshapedTo,
} from "../../support/golden.ts";

const engine = testEngine();
const folder = join(import.meta.dirname, "../golden");
const cases = readdirSync(folder).filter((file) => file.endsWith(".safetensors"));

/** The graph of one golden case; the shape of `x` says whether it is a feature map. */
type Build = (bench: Workbench, golden: Golden, x: Value) => Value;

type Run = (
  weights: WeightsSource,
  build: (bench: Workbench) => Record<string, Value>,
) => Promise<Record<string, Tensor>>;

const operations: Record<string, Build> = {
  conv2d({ w, lowering }, { config }, x) {
    const { kernel, stride, padding } = config as { kernel: number; stride: number; padding: number[] };
    const [left, right, top, bottom] = padding as [number, number, number, number];
    const outputs = w.has("bias") ? w.tensor("bias", [10]) : undefined;
    const weight = w.tensor("weight", [10, x.shape[3]!, kernel, kernel]);
    return lowering.conv2d(x, weight, outputs, { stride, padding: [top, left, bottom, right] });
  },
  groupNorm({ w, lowering }, { config }, x) {
    const { groups, eps } = config as { groups: number; eps: number };
    const channels = x.shape.at(-1)!;
    return lowering.groupNorm(x, w.tensor("weight", [channels]), w.tensor("bias", [channels]), {
      groups,
      eps,
      over: "frame",
    });
  },
  layerNorm({ w, lowering }, { config }, x) {
    const channels = x.shape.at(-1)!;
    return lowering.layerNorm(x, w.tensor("weight", [channels]), w.tensor("bias", [channels]), config.eps as number);
  },
  linear: ({ w }, _, x) => linear(w, x, 40, w.has("bias") ? "with bias" : "without bias"),
  upsampleNearest({ lowering }, { config }, x) {
    const [height, width] = (config.size as number[]) ?? [2 * x.shape[1]!, 2 * x.shape[2]!];
    return lowering.upsampleNearest(x, height!, width!);
  },
  sigmoid: ({ lowering }, _, x) => lowering.sigmoid(x),
  silu: activation("silu"),
  gelu: activation("gelu"),
  "quick-gelu": activation("quick_gelu"),
  attention({ lowering, value }, golden, q) {
    const [k, v] = [value(golden.tensor("input.k")), value(golden.tensor("input.v"))];
    return lowering.attention(q, k, v, golden.config.heads as number);
  },
  geglu({ w, lowering }, _, x) {
    const both = linear(w.at("proj"), x, 64);
    const [hidden, gate] = [0, 32].map((start) => channelsFrom(both, start, 32)) as [Value, Value];
    return lowering.multiply(hidden, lowering.activation(gate, "gelu"));
  },
  timestepEmbedding: (_, { config }, x) => sinusoidalEmbedding(x, config.width as number),
};

function activation(kind: Activation): Build {
  return ({ lowering }, _, x) => lowering.activation(x, kind);
}

function channelsFrom(x: Value, start: number, count: number): Value {
  const { concat, select } = x.lowering;
  return concat(
    Array.from({ length: count }, (_, channel) => select(x, 2, start + channel)),
    2,
  );
}

describe.each<[string, CreateLowering]>([
  ["operations", createCpuFp32Lowering],
  ["operations of small networks", smallLowering(engine)],
])("%s against torch", (_, createLowering) => {
  const run: Run = (weights, build) => evaluate(engine(), weights, build, { createLowering });

  it("has golden cases", () => expect(cases.length).toBeGreaterThan(30));

  it.each(cases)("%s", async (file) => {
    const golden = await readGolden("lowering", "golden", file);
    const operation = golden.config.op as string;
    const input = golden.tensor(golden.has("input.q") ? "input.q" : "input.x");
    const expected = golden.tensor("output.y");
    const weights = golden.names("weights.").length > 0 ? await goldenWeights(golden) : noWeights;

    if (operation === "temporalConv") {
      await compareClips(run, golden, input, expected, ({ w, lowering }, x) => {
        const weight = w.tensor("weight", [8, x.shape[3]!, 3, 1, 1]);
        return lowering.temporalConv(x, weight, w.tensor("bias", [8]));
      });
      return;
    }
    if (input.shape.length === 5) {
      await compareClips(run, golden, input, expected, ({ w, lowering }, x) => {
        const { groups, eps } = golden.config as { groups: number; eps: number };
        const channels = x.shape[3]!;
        const [weight, bias] = [w.tensor("weight", [channels]), w.tensor("bias", [channels])];
        return lowering.groupNorm(x, weight, bias, { groups, eps, over: "clip" });
      });
      return;
    }
    const { y } = await run(weights, (bench) => {
      const isRow = operation === "timestepEmbedding";
      const x =
        input.shape.length === 4
          ? bench.map(input)
          : bench.value(isRow ? reshapedTo(input, [input.shape[0]!, 1]) : input);
      const build = operations[operation];
      if (!build) throw new Error(`no test for operation ${operation}`);
      return { y: build(bench, golden, x) };
    });
    expectClose(y!, expected, golden.tolerance, file);
  });

  it.each<[string, (bench: Workbench, x: FloatTensor) => Value]>([
    ["feature maps", ({ map }, x) => map(x)],
    ["tokens", ({ value }, x) => value(reshapedTo(x, [5, 42, 4]))],
  ])("does items of %s one after the other as all at once", async (_, made) => {
    const x = randn(createGenerator(1), [5, 4, 6, 7], "float32");
    const inItems = (widest: number) =>
      run(noWeights, (bench) => {
        const { activation, add, itemByItem } = bench.lowering;
        const values = [made(bench, x), made(bench, x)];
        const [y] = itemByItem(values, widest, ([a, b]) => [add(activation(a!, "silu"), b!)]);
        return { y: y! };
      });
    const atOnce = await inItems(1);
    for (const widest of [1e9, 0.9e6]) expect(await inItems(widest)).toEqual(atOnce);
  });

  it("hands windows on as they are where the next items are done in the same ones, and joins them once", () => {
    const graph = createGraph("test");
    const lowering = createCpuFp32Lowering(graph);
    const widest = 0.9e6; // four items at a time
    const x = lowering.input("x", [10, 42, 4]);
    const [a, b] = lowering.itemByItem([x], widest, ([each]) => [
      lowering.activation(each!, "silu"),
      lowering.sigmoid(each!),
    ]);
    const [sum] = lowering.itemByItem([a!, b!], widest, ([left, right]) => [lowering.add(left!, right!)]);
    const count = (operator: string) => graph.nodes.filter((node) => node.operator.name === operator).length;
    expect([count("Slice"), count("Add"), count("Concat")]).toEqual([3, 3, 0]);
    for (const name of ["y", "z"]) lowering.output(name, sum!);
    expect(count("Concat")).toBe(1);
    lowering.itemByItem([a!], 2e6, ([each]) => [lowering.sigmoid(each!)]); // two at a time
    expect([count("Slice"), count("Concat")]).toEqual([3 + 5, 2]);
  });

  it("normalises tokens as it normalises feature maps", async () => {
    for (const name of ["group-norm-eps-1e-6", "group-norm-large-mean", "group-norm-small-variance"]) {
      const golden = await readGolden("lowering", "golden", `${name}.safetensors`);
      const [batch, channels, height, width] = golden.tensor("input.x").shape as [number, number, number, number];
      const toTokens = (tensor: FloatTensor) =>
        reshapedTo(permuted(tensor, [0, 2, 3, 1]), [batch, height * width, channels]);
      const { y } = await run(await goldenWeights(golden), (bench) => ({
        y: operations.groupNorm!(bench, golden, bench.value(toTokens(golden.tensor("input.x")))),
      }));
      expectClose(y!, toTokens(golden.tensor("output.y")), golden.tolerance, name);
    }
  });

  it.each([1, 3, 14])(
    "normalises %d frames by the statistics of a clip, and makes absent ones zero",
    async (frames) => {
      const golden = await readGolden("lowering", "golden", "group-norm-over-frames.safetensors");
      const { groups, eps } = golden.config as { groups: number; eps: number };
      const input = framesOfClip(golden.tensor("input.x"), 0);
      const expected = framesOfClip(golden.tensor("output.y"), 0);
      const [count, channels] = input.shape as [number, number];
      const perFrame = await run(noWeights, ({ lowering, map }) => ({
        ...lowering.groupStatistics(map(input), groups),
      }));
      const statistics = gatherClipStatistics(groups);
      statistics.add(perFrame.mean!.data as Float32Array, perFrame.variance!.data as Float32Array);
      const { mean, inverseDeviation } = statistics.merge(eps);
      const taken = Math.min(frames, count);
      const presence = floatTensor(
        [taken, 1],
        Float32Array.from({ length: taken }, (_, frame) => (frame === 1 ? 0 : 1)),
      );
      const { y } = await run(await goldenWeights(golden), ({ w, lowering, map, value }) => ({
        y: lowering.groupNormByStatistics(
          map(items(input, 0, taken)),
          w.tensor("weight", [channels]),
          w.tensor("bias", [channels]),
          { mean: value(mean), inverseDeviation: value(inverseDeviation), presence: value(presence) },
          { groups },
        ),
      }));
      const wanted = items(expected, 0, taken);
      wanted.data.fill(0, wanted.data.length / taken, (2 * wanted.data.length) / taken);
      expectClose(y!, wanted, golden.tolerance);
    },
  );

  it.each([1, 2, 5])("convolves %d frames of a clip that are given with their neighbours", async (frames) => {
    const golden = await readGolden("lowering", "golden", "temporal-conv-14-frames.safetensors");
    const input = framesOfClip(golden.tensor("input.x"), 0);
    const expected = framesOfClip(golden.tensor("output.y"), 0);
    const first = 4;
    const { y } = await run(await goldenWeights(golden), ({ w, lowering, map }) => {
      const x = map(items(input, first - 1, first + frames + 1));
      const gain = lowering.constant([1], Float32Array.of(1));
      const weight = w.tensor("weight", [8, x.shape[3]!, 3, 1, 1]);
      return { y: lowering.temporalConvUnpadded(x, weight, w.tensor("bias", [8]), gain) };
    });
    expectClose(y!, items(expected, first, first + frames), golden.tolerance);
  });

  it("folds a gain into a temporal convolution", async () => {
    const golden = await readGolden("lowering", "golden", "temporal-conv-2-frames.safetensors");
    const input = golden.tensor("input.x");
    const expected = golden.tensor("output.y");
    const scaled = floatTensor(
      expected.shape,
      expected.data.map((value) => 0.25 * value),
    );
    await compareClips(run, golden, input, scaled, ({ w, lowering }, x) => {
      const weight = w.tensor("weight", [8, x.shape[3]!, 3, 1, 1]);
      return lowering.temporalConv(x, weight, w.tensor("bias", [8]), lowering.constant([1], Float32Array.of(0.25)));
    });
  });
});

/** Compares clip by clip: the reference's (clips, channels, frames, height, width) is one feature map a clip here. */
async function compareClips(
  run: Run,
  golden: Golden,
  input: FloatTensor,
  expected: FloatTensor,
  build: (bench: Workbench, x: Value) => Value,
): Promise<void> {
  for (let clip = 0; clip < input.shape[0]!; clip++) {
    const { y } = await run(await goldenWeights(golden), (bench) => ({
      y: build(bench, bench.map(framesOfClip(input, clip))),
    }));
    expectClose(y!, framesOfClip(expected, clip), golden.tolerance, `clip ${clip}`);
  }
}

/** One clip of (clips, channels, frames, height, width), as (frames, channels, height, width). */
function framesOfClip(tensor: FloatTensor, clip: number): FloatTensor {
  const one = items(tensor, clip, clip + 1);
  return permuted(reshapedTo(one, one.shape.slice(1)), [1, 0, 2, 3]);
}
