/**
 * Does a feed-forward layer in pieces give what it gives in one, and take less memory?
 *
 * Golden: python -m reference.golden layers (reference/golden/layers.py), diffusers 0.42.1
 */
import { expect, it } from "vitest";
import { createCpuFp32Lowering } from "../../src/lowering/cpu/fp32.ts";
import { feedForward } from "../../src/nn/feed-forward.ts";
import { createGraph } from "../../src/onnx/graph.ts";
import { memoryOf } from "../../src/onnx/memory.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { randn } from "../../src/random/randn.ts";
import { readWeights } from "../../src/weights/view.ts";
import { evaluate, testEngine } from "../support/evaluate.ts";
import { goldenWeights, readGolden } from "../support/golden.ts";

const engine = testEngine();
/** The graph of a layer over (frames, tokens, channels of the golden one). */
async function graphOf(frames: number, tokens: number, pieces: number) {
  const { source, channels } = await layer();
  const graph = createGraph("feed-forward");
  const lowering = createCpuFp32Lowering(graph);
  lowering.output(
    "y",
    feedForward(readWeights(source).weights, lowering.input("x", [frames, tokens, channels]), pieces),
  );
  return graph;
}

async function layer() {
  const golden = await readGolden("models", "golden", "feed-forward.safetensors");
  const channels = golden.tensor(golden.names("input.")[0]!).shape.at(-1)!;
  return { source: await goldenWeights(golden), channels };
}

const products = (graph: Awaited<ReturnType<typeof graphOf>>) =>
  graph.nodes.filter(({ operator }) => operator.name === "Gemm").length;

it.each([2, 3, 5, 14, 64])("gives the same in %i pieces", async (pieces) => {
  const { source, channels } = await layer();
  const x = randn(createGenerator(pieces), [14, 15, channels], "float32");
  const { whole, inPieces } = await evaluate(engine(), source, ({ w, value }) => {
    const input = value(x);
    return { whole: feedForward(w, input), inPieces: feedForward(w, input, pieces) };
  });
  expect(whole!.shape).toEqual([14, 15, channels]);
  const expected = whole!.data as Float32Array;
  const largest = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const difference = expected.reduce((max, value, i) => Math.max(max, Math.abs(value - Number(inPieces!.data[i]))), 0);
  expect(largest).toBeGreaterThan(0.1);
  expect(difference).toBeLessThanOrEqual(1e-6 * largest);
});

it.each([
  [6, 6],
  [4, 5], // 210 tokens: 4 does not divide them
  [8, 10],
  [1, 1],
])("asked for %i pieces of 210 tokens computes %i", async (pieces, expected) => {
  expect(products(await graphOf(14, 15, pieces))).toBe(3 * expected);
});

it("has a token a piece where there are fewer tokens than pieces", async () => {
  expect(products(await graphOf(1, 2, 64))).toBe(3 * 2);
});

it("holds the hidden layer of one piece at a time", async () => {
  const peak = async (pieces: number) => memoryOf(await graphOf(8, 512, pieces)).activationBytes;
  const { channels } = await layer();
  const tokensBytes = 8 * 512 * channels * 4;
  // In one: x and three hidden layers of four times its width. In 16: x, the results, and a sixteenth of the rest.
  expect((await peak(1)) / tokensBytes).toBeGreaterThan(9);
  expect((await peak(16)) / tokensBytes).toBeLessThan(4);
});
