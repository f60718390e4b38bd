/** Do maps that stay in blocks of channels give what maps of planes give, with all that is folded into convolutions? */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Block } from "../../../src/lowering/cpu/storage.ts";
import type { Value } from "../../../src/lowering/lowering.ts";
import type { WeightStorage } from "../../../src/lowering/lowerings.ts";
import { spatioTemporalResBlock } from "../../../src/models/blocks/resnet.ts";
import { remainingShare } from "../../../src/models/blocks/time-mixer.ts";
import { conv2d, downsample, upsample } from "../../../src/nn/convolution.ts";
import { groupNorm } from "../../../src/nn/norm.ts";
import { openCheckpoint } from "../../../src/node/weights.ts";
import type { Graph } from "../../../src/onnx/graph.ts";
import { channelBlocks } from "../../../src/onnx/operators/operator.ts";
import { createGenerator } from "../../../src/random/generator.ts";
import { randn } from "../../../src/random/randn.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../../../src/tensor.ts";
import { evaluate, noWeights, smallLowering, testEngine, type Workbench } from "../../support/evaluate.ts";
import { networksInBlocks } from "../../support/platform.ts";
import { published } from "../../support/published.ts";
import { runNetwork } from "../../support/unet-call.ts";

const engine = testEngine();
const tiny = await openCheckpoint(join(import.meta.dirname, "../../../models/tiny"));
const generator = createGenerator(0);
const random = (shape: number[]) => randn(generator, shape, "float32");

type Build = (bench: Workbench) => Record<string, Value>;

/** The largest difference, of the largest number. */
function difference(actual: Tensor, expected: Tensor): number {
  expect(actual.shape).toEqual(expected.shape);
  const [a, b] = [actual.data as Float32Array, expected.data as Float32Array];
  const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(largest).toBeGreaterThan(1e-3);
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - b[index]!)), 0) / largest;
}

async function compare(path: string, build: Build, source = path === "" ? noWeights : tiny.unet): Promise<void> {
  const [planes, blocks] = [
    await evaluate(engine(), source, build, { path }),
    await evaluate(engine(), source, build, { path, createLowering: smallLowering(engine) }),
  ];
  for (const [name, expected] of Object.entries(planes)) {
    expect(difference(blocks[name]!, expected), name).toBeLessThan(1e-5);
  }
}

describe("in blocks there is the same", () => {
  const [map, skip, time] = [random([3, 96, 8, 12]), random([3, 64, 8, 12]), random([1, 256])];

  it("ResNet block: a time row in its bias, sums, channels of two maps, groups that no block begins", async () => {
    const options = { eps: 1e-5, temporalShare: remainingShare };
    await compare("up_blocks.2.resnets.0", ({ w, map: planes, value }) => ({
      y: spatioTemporalResBlock(w, [planes(map), planes(skip)], 64, { ...options, time: value(time) }),
    }));
  });

  it("convolution of fewer channels than a block, and to fewer", async () => {
    const [few, many] = [random([2, 8, 6, 10]), random([2, 64, 6, 10])];
    await compare("conv_in", ({ w, map: planes }) => ({ y: conv2d(w, planes(few), 64) }));
    await compare("conv_out", ({ w, map: planes }) => ({ y: conv2d(w, planes(many), 4) }));
  });

  it.each([
    [8, 12],
    [7, 11],
  ])("map of half the size, and of twice, %d x %d", async (height, width) => {
    const large = random([2, 64, height, width]);
    await compare("down_blocks.0.downsamplers.0", ({ w, map: planes }) => ({
      y: downsample(w, planes(large), [1, 1, 1, 1]),
    }));
    const small = random([2, 96, Math.ceil(height / 2), Math.ceil(width / 2)]);
    await compare("up_blocks.1.upsamplers.0", ({ w, map: planes }) => ({
      y: upsample(w, planes(small), height, width),
    }));
  });

  it("norm of numbers far from zero, and of so many that their sum is one of sums", async () => {
    for (const [frames, height, width] of [
      [2, 6, 10],
      [3, 50, 90],
    ] as const) {
      const x = random([frames, 64, height, width]);
      const far = floatTensor(
        x.shape,
        x.data.map((value) => 20 + value),
      );
      for (const over of ["frame", "clip"] as const) {
        await compare("conv_norm_out", ({ w, map: planes }) => ({
          y: groupNorm(w, planes(x), { eps: 1e-5, over, activation: "silu" }),
          far: groupNorm(w, planes(far), { eps: 1e-5, over }),
        }));
      }
    }
  });

  it("statistics of frames, and norm by those of a clip, which leaves out a frame", async () => {
    const x = random([3, 96, 50, 90]);
    await compare("mid_block.attentions.0.norm", ({ w, lowering, map: planes }) => {
      const row = (values: number[], shape: number[]) => lowering.constant(shape, Float32Array.from(values));
      const perGroup = (value: (group: number) => number) =>
        row(
          Array.from({ length: 32 }, (_, i) => value(i)),
          [1, 32],
        );
      const statistics = {
        mean: perGroup((group) => 0.1 * group - 1),
        inverseDeviation: perGroup((group) => 0.5 + 0.05 * group),
        presence: row([1, 0, 1], [3, 1]),
      };
      const parameters = [w.tensor("weight", [96]), w.tensor("bias", [96])] as const;
      const options = { groups: 32, activation: "silu" } as const;
      return {
        y: lowering.groupNormByStatistics(planes(x), ...parameters, statistics, options),
        ...lowering.groupStatistics(planes(x), 32),
      };
    });
  });

  it("sum and product of a map and a row, of a map that others read too", async () => {
    const row = random([1, 64]);
    const large = random([2, 64, 6, 10]);
    await compare("down_blocks.0.resnets.0.spatial_res_block.conv1", ({ w, lowering, map: planes, value }) => {
      const convolved = conv2d(w, planes(large), 64);
      const summed = lowering.add(convolved, value(row));
      return {
        summed,
        convolved,
        again: lowering.add(lowering.add(convolved, value(row)), planes(large)),
        product: lowering.multiply(summed, value(row)),
      };
    });
  });
});

describe("a small network in blocks", () => {
  const size = { frames: 8, height: 32, width: 48 };
  const written = (form: "planes" | "blocks") => {
    return networksInBlocks(tiny, form === "blocks" ? engine().channelBlock : 1).write;
  };
  const inputsOf = ({ inputs }: Graph) =>
    Object.fromEntries(inputs.map(({ name, shape }) => [name, random([...shape]) as FloatTensor]));

  it("gives what it gives in planes, to rounding", async () => {
    for (const network of [
      (write: ReturnType<typeof written>) => write.unet(size),
      (write: ReturnType<typeof written>) => write.shallowUnet(size),
      (write: ReturnType<typeof written>) => write.vaeDecoder({ frames: 2, height: 32, width: 48 }),
      (write: ReturnType<typeof written>) => write.vaeEncoder({ height: 64, width: 96 }),
    ]) {
      const [planes, blocks] = [network(written("planes")), network(written("blocks"))];
      const inputs = inputsOf(planes.graph);
      const expected = await runNetwork(engine(), planes, { ...inputs });
      const actual = await runNetwork(engine(), blocks, { ...inputs });
      for (const [name, output] of Object.entries(expected)) {
        expect(difference(actual[name]!, output), `${planes.graph.name} ${name}`).toBeLessThan(1e-5);
      }
    }
  });

  it.each<Block>([8, 16])("moves a map between layouts where attention is, and nowhere else: blocks of %d", (block) => {
    const { unet, vaeDecoder } = networksInBlocks(tiny, block).write;
    const count = (graph: Graph, ...operators: string[]) =>
      graph.nodes.filter(({ operator }) => operators.includes(operator.name)).length;
    // Each of the four transformers, the output, and for blocks of 8 the input, whose 8 channels fill one.
    expect(count(unet(size).graph, "ReorderInput")).toBe(block === 8 ? 5 : 4);
    expect(count(unet(size).graph, "ReorderOutput")).toBe(5);
    expect(count(vaeDecoder(size).graph, "ReorderInput", "ReorderOutput")).toBe(1);
    expect(count(unet(size).graph, "InstanceNormalization", "BatchNormalization")).toBe(0);
  });

  it("is for few weights, for a processor that has blocks, and for weights that are floats", () => {
    const isInBlocks = (graph: Graph) => graph.nodes.some(({ operator }) => operator.set === channelBlocks);
    const graphs = (checkpoint: typeof tiny, storage: WeightStorage, block: number) => {
      const { write } = networksInBlocks(checkpoint, block, storage);
      const small = { frames: 1, height: 8, width: 8 };
      return [write.unet(small), write.vaeDecoder(small)].map(({ graph }) => isInBlocks(graph));
    };
    expect(graphs(tiny, "stored", 16)).toEqual([true, true]);
    expect(graphs(tiny, "fp32", 8)).toEqual([true, true]);
    expect(graphs(tiny, "int8", 16)).toEqual([false, true]);
    expect(graphs(tiny, "stored", 1)).toEqual([false, false]);
    expect(graphs(published(), "stored", 16)).toEqual([false, false]);
  });

  it("writes no convolution twice, though it waits for what is added to it", () => {
    const convolutions = ({ nodes }: Graph) =>
      nodes.filter(({ operator, attributes }) => operator.name === "Conv" && (attributes.group ?? 1) === 1).length;
    const norms = ({ nodes }: Graph) =>
      nodes.filter(({ operator }) => operator.name === "InstanceNormalization").length;
    const inBlocks = networksInBlocks(tiny, 16);
    const [planes, blocks] = [written("planes").unet(size).graph, inBlocks.write.unet(size).graph];
    // Each norm has two: the mean of groups, and that of squares.
    expect(convolutions(blocks)).toBe(convolutions(planes) + 2 * norms(planes));
  });
});
