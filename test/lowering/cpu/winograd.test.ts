/** Does a convolution in tiles give what the convolution itself gives? */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stored } from "../../../src/lowering/cpu/values.ts";
import {
  convolveFrameTiles,
  convolveTiles,
  isWorthFrameTiles,
  largeTiles,
  mapTilesFor,
  piecesOfKernel,
  smallTiles,
  transformFrameKernel,
  transformKernel,
} from "../../../src/lowering/cpu/winograd.ts";
import { disk } from "../../../src/node/files/disk.ts";
import { addInput, addOutput, createGraph, type Edge, type Graph } from "../../../src/onnx/graph.ts";
import * as ops from "../../../src/onnx/ops.ts";
import { serialise } from "../../../src/onnx/serialise.ts";
import { createGenerator } from "../../../src/random/generator.ts";
import { randn } from "../../../src/random/randn.ts";
import { elementCount, type FloatTensor } from "../../../src/tensor.ts";
import { readSingleWeights } from "../../../src/weights/checkpoint/component-weights.ts";
import { encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import { evaluate, testEngine } from "../../support/evaluate.ts";

const engine = testEngine();
const generator = createGenerator(0);
/** Relative L2, of some 2e-6 for noise of 512 channels; what is wrong is wrong by much more. */
const roundingError = 5e-6;
const random = (shape: number[]) => randn(generator, shape, "float32");

async function run(build: (graph: Graph, edges: Record<string, Edge>) => Edge, inputs: Record<string, FloatTensor>) {
  const graph = createGraph("convolution");
  const edges = Object.entries(inputs).map(([name, { shape }]) => [name, addInput(graph, name, "float32", shape)]);
  addOutput(graph, "y", build(graph, Object.fromEntries(edges)));
  const session = await engine().load({ name: "convolution", bytes: serialise(graph) });
  const { y } = await session.run(inputs);
  await session.release();
  return y as FloatTensor;
}

const direct = (_: Graph, { x, weight, bias }: Record<string, Edge>) =>
  ops.conv(x!, weight!, bias, { strides: [1, 1], pads: [1, 1, 1, 1] });

function relativeError(actual: FloatTensor, expected: FloatTensor): number {
  expect(actual.shape).toEqual(expected.shape);
  const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(actual.data.map((value, index) => value - expected.data[index]!)) / norm(expected.data);
}

describe.each([
  ["large", largeTiles],
  ["small", smallTiles],
])("a 3 x 3 convolution in %s tiles", (_, tiles) => {
  it.each<[string, { frames?: number; channels?: [number, number]; size: [number, number]; pieces?: number }]>([
    ["of one frame in whole tiles", { size: [8, 12] }],
    ["of a size that tiles do not divide", { size: [7, 13] }],
    ["smaller than a tile", { size: [3, 1] }],
    ["of several frames", { frames: 3, size: [9, 6] }],
    ["with kernels in pieces", { frames: 2, size: [8, 8], channels: [16, 24], pieces: 3 }],
    ["of a picture in strips of tiles", { size: [150, 201], channels: [128, 32] }],
    ["of several pictures in strips of tiles", { frames: 2, size: [130, 90], channels: [64, 160] }],
  ])("%s", async (_, { frames = 1, channels: [inputs, outputs] = [16, 8], size, pieces = 1 }) => {
    const x = random([frames, inputs, ...size]);
    const [weight, bias] = [random([outputs, inputs, 3, 3]), random([outputs])];
    const inTiles = (_: Graph, edges: Record<string, Edge>) => {
      const each = outputs / pieces;
      const kernels = Array.from({ length: pieces }, (_, piece) =>
        transformKernel(ops.slice(edges.weight!, 0, piece * each, (piece + 1) * each), tiles),
      );
      return convolveTiles(edges.x!, kernels, edges.bias, tiles);
    };
    const inputsByName = { x, weight, bias };
    expect(relativeError(await run(inTiles, inputsByName), await run(direct, inputsByName))).toBeLessThan(
      roundingError,
    );
  });

  it("is not much less exact than the convolution itself, held against float64", async () => {
    const [channels, size] = [320, 8];
    const inputs = { x: random([1, channels, size, size]), weight: random([32, channels, 3, 3]), bias: random([32]) };
    const exact = convolveInFloat64(inputs.x, inputs.weight, inputs.bias);
    const inTiles = await run(
      (_, { x, weight, bias }) => convolveTiles(x!, [transformKernel(weight!, tiles)], bias, tiles),
      inputs,
    );
    expect(relativeError(await run(direct, inputs), exact)).toBeLessThan(1e-6);
    expect(relativeError(inTiles, exact)).toBeLessThan(roundingError);
  });
});

describe("a convolution over frames in tiles", () => {
  it.each<[string, { frames: number; channels?: [number, number]; pixels: number; padding?: 0 | 1 }]>([
    ["of as many frames as tiles hold", { frames: 8, pixels: 6 }],
    ["of frames that tiles do not divide", { frames: 14, pixels: 5 }],
    ["of one frame", { frames: 1, pixels: 3 }],
    ["of frames that come with their neighbours", { frames: 6, pixels: 7, padding: 0 }],
    ["of maps in strips of pixels", { frames: 6, channels: [256, 64], pixels: 3001 }],
  ])("%s", async (_, { frames, channels: [inputs, outputs] = [16, 8], pixels, padding = 1 }) => {
    const given = {
      x: random([1, inputs, frames, pixels]),
      weight: random([outputs, inputs, 3, 1]),
      bias: random([outputs]),
    };
    const pads = [padding, 0, padding, 0] as const;
    const expected = await run(
      (_, { x, weight, bias }) => ops.conv(x!, weight!, bias, { strides: [1, 1], pads }),
      given,
    );
    const tiles = await run(
      (_, { x, weight, bias }) => convolveFrameTiles(x!, transformFrameKernel(weight!), bias!, padding),
      given,
    );
    expect(relativeError(tiles, expected)).toBeLessThan(roundingError);
  });
});

describe("the fp32 lowering", () => {
  it.each([
    ["in pieces that are used at once", 1],
    ["as one that windows of frames share", 3],
  ])("convolves in tiles where that is faster, the kernel %s", async (_, windows) => {
    const [frames, channels, size] = [6, 512, 16];
    const folder = await mkdtemp(join(tmpdir(), "stillmotion-winograd-"));
    try {
      const [weight, bias] = [random([channels, channels, 3, 3]), random([channels])];
      await writeFile(join(folder, "unet.safetensors"), encodeSafetensors({ weight, bias }));
      const weights = { name: "unet", ...(await readSingleWeights(disk, folder, "unet.safetensors")) } as const;
      const x = random([frames, channels, size, size]);
      let graph: Graph | undefined;
      const { y } = await evaluate(engine(), weights, ({ w, lowering, map }) => {
        const [kernel, offset] = [w.tensor("weight", weight.shape), w.tensor("bias", bias.shape)];
        const [result] = lowering.itemByItem([map(x)], (4.2e6 * windows) / frames, ([each]) => [
          lowering.conv2d(each!, kernel, offset, { stride: 1, padding: [1, 1, 1, 1] }),
        ]);
        ({ graph } = stored(result!, "first"));
        return { y: result! };
      });
      expect(graph!.nodes.filter(({ operator }) => operator.name === "Conv")).toHaveLength(windows);
      const readers = [...graph!.initializers.keys()]
        .filter((name) => name.startsWith("weight"))
        .map((name) => graph!.nodes.filter(({ inputs }) => inputs.includes(name)).length);
      expect(readers).toEqual(windows === 1 ? [1, 1] : [1]);
      expect(relativeError(y as FloatTensor, await run(direct, { x, weight, bias }))).toBeLessThan(roundingError);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.each<[string, Parameters<typeof mapTilesFor>, typeof largeTiles | undefined]>([
    ["a large map", [{ frames: 14, height: 32, width: 56 }, 320, 320], largeTiles],
    ["a very large one of few channels", [{ frames: 1, height: 256, width: 448 }, 128, 128], largeTiles],
    ["small maps of several frames", [{ frames: 8, height: 4, width: 6 }, 1280, 1280], smallTiles],
    ["a single small map", [{ frames: 1, height: 4, width: 6 }, 1280, 1280], undefined],
    ["too few inputs", [{ frames: 1, height: 256, width: 448 }, 4, 320], undefined],
    ["too few channels", [{ frames: 1, height: 256, width: 448 }, 64, 64], undefined],
  ])("chooses tiles for %s", (_, [maps, inputs, outputs], expected) => {
    expect(mapTilesFor(maps, inputs, outputs)).toBe(expected);
  });

  it("has kernels in pieces of a size that stays in the cache, larger where a map's tiles would be packed often", () => {
    const x = (frames: number, height: number, width: number) =>
      addInput(createGraph("pieces"), "x", "float32", [frames, 1280, height, width]);
    expect(piecesOfKernel(x(8, 2, 3), 1280, smallTiles)).toBe(16);
    expect(piecesOfKernel(x(7, 8, 14), 1280, largeTiles)).toBe(8);
    expect(piecesOfKernel(x(14, 32, 56), 1280, largeTiles)).toBe(1);
  });

  it("leaves few pixels and few frames to the convolution across frames", () => {
    expect(isWorthFrameTiles(14, 8 * 14, 1280, 1280)).toBe(true);
    expect(isWorthFrameTiles(14, 2 * 3, 1280, 1280)).toBe(false);
    expect(isWorthFrameTiles(2, 256 * 448, 512, 512)).toBe(false);
  });
});

/** (1, inputs, size, size), padded by zeros. */
function convolveInFloat64(x: FloatTensor, weight: FloatTensor, bias: FloatTensor): FloatTensor {
  const [, inputs, height, width] = x.shape as [number, number, number, number];
  const outputs = weight.shape[0]!;
  const shape = [1, outputs, height, width];
  const pixel = (channel: number, row: number, column: number) =>
    row < 0 || row >= height || column < 0 || column >= width ? 0 : x.data[(channel * height + row) * width + column]!;
  const data = Float32Array.from({ length: elementCount(shape) }, (_, index) => {
    const [output, row, column] = [
      Math.floor(index / (height * width)),
      Math.floor(index / width) % height,
      index % width,
    ];
    let sum = bias.data[output]!;
    for (let channel = 0; channel < inputs; channel++) {
      for (let tap = 0; tap < 9; tap++) {
        const factor = weight.data[(output * inputs + channel) * 9 + tap]!;
        sum += factor * pixel(channel, row + Math.floor(tap / 3) - 1, column + (tap % 3) - 1);
      }
    }
    return sum;
  });
  return { dtype: "float32", shape, data };
}
