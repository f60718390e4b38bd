/**
 * How do convolutions of three taps get by with fewer multiplications? As Winograd's F(4, 3): a tile of 6 numbers, and a kernel,
 * become 6 numbers each, which are multiplied one by one, and 4 results are made of those: half of the multiplications across
 * frames, and a quarter within a frame, where tiles have two directions.
 *
 * https://arxiv.org/abs/1509.09308, section 4. The matrices are Cook and Toom's for five points and infinity.
 */
import { addConstant, type Edge, type Graph } from "../onnx/graph.ts";
import * as ops from "../onnx/ops.ts";
import { divisorFrom, evenParts } from "./even-parts.ts";

/** Results a side of a tile. */
const tile = 4;
const seen = tile + 2;

/** The usual 0, 1, -1, 2 and -2 have twice the rounding error. */
const points = [0, 3 / 4, -3 / 4, 3 / 2, -3 / 2];

/** Numbers in the largest array that is made on the way, so that it stays in a processor's cache. */
const cachedNumbers = 8e6;

type Matrix = readonly (readonly number[])[];

/** (6, 3): of the taps of a kernel. */
const kernelMatrix: Matrix = [
  ...points.map((point, own) => {
    const scale = points.reduce((product, other, index) => (index === own ? product : product * (point - other)), 1);
    return [1 / scale, point / scale, point ** 2 / scale];
  }),
  [0, 0, 1],
];

/** (6, 6): of the pixels of a tile. Coefficients of the polynomial whose roots are the other points; of all of them for infinity. */
const tileMatrix: Matrix = [
  ...points.map((_, own) => [...withRoots(points.filter((_, index) => index !== own)), 0]),
  withRoots(points),
];

/** (4, 6): results of the products. */
const resultMatrix: Matrix = Array.from({ length: tile }, (_, power) => [
  ...points.map((point) => point ** power),
  power === tile - 1 ? 1 : 0,
]);

/** The coefficients of (x - a)(x - b)..., lowest power first. */
function withRoots(roots: readonly number[]): number[] {
  let polynomial = [1];
  for (const root of roots) {
    const times = (power: number) => (polynomial[power - 1] ?? 0) - root * (polynomial[power] ?? 0);
    polynomial = Array.from({ length: polynomial.length + 1 }, (_, power) => times(power));
  }
  return polynomial;
}

/** Of both directions at once: the Kronecker product of the matrix with itself. */
function bothWays(matrix: Matrix): Matrix {
  return matrix.flatMap((down) => matrix.map((across) => down.flatMap((a) => across.map((b) => a * b))));
}

const kernelMatrix2d = bothWays(kernelMatrix); // (36, 9)
const tileMatrix2d = bothWays(tileMatrix); // (36, 36)
const resultMatrix2d = bothWays(resultMatrix); // (16, 36)

/**
 * Whether tiles are faster. Beside the products, 0.25 of a convolution's, maps are widened for each channel and kernels for each
 * pixel; the costs were fitted to convolutions of 64 to 1280 channels and 192 to 115,000 pixels.
 */
export function isWorthTiles(pixels: number, inputs: number, outputs: number): boolean {
  return 64 / Math.min(inputs, outputs) + 600 / pixels < 0.6;
}

/** The same across frames, where the products are 0.5 of a convolution's, and more where tiles reach beyond the last frame. */
export function isWorthFrameTiles(frames: number, pixels: number, inputs: number, outputs: number): boolean {
  const products = (seen * Math.ceil(frames / tile)) / (3 * frames);
  return products + 80 / Math.min(inputs, outputs) + 200 / (frames * pixels) < 0.85;
}

/** In how many strips of rows a picture is done. */
function stripsOf([frames, inputs, height, width]: readonly number[], outputs: number): number {
  const rows = Math.ceil(height! / tile);
  const numbersOfRow = seen ** 2 * frames! * Math.max(inputs!, outputs) * Math.ceil(width! / tile);
  return Math.ceil(rows / Math.max(1, Math.floor(cachedNumbers / numbersOfRow)));
}

/** In how many equal pieces a kernel is transformed and used: one where it is in memory as a whole, for strips that all read it. */
export function piecesOfKernel(x: Edge, outputs: number): number {
  if (stripsOf(x.shape, outputs) > 1) return 1;
  return divisorFrom(Math.ceil((seen ** 2 * x.shape[1]! * outputs) / cachedNumbers), outputs);
}

/** (outputs, inputs, 3, 3) -> (36, outputs, inputs), or (outputs, inputs, 3, 1) -> (6, outputs, inputs). */
export function transformKernel(kernel: Edge): Edge {
  const [outputs, inputs, rows, columns] = kernel.shape as [number, number, number, number];
  const matrix = columns === 1 ? kernelMatrix : kernelMatrix2d;
  const taps = ops.reshape(kernel, [1, outputs * inputs, rows * columns]);
  const transformed = ops.batchedMatMul(matrixOf(kernel.graph, matrix), taps, { transposeB: true });
  return ops.reshape(transformed, [matrix.length, outputs, inputs]);
}

/**
 * (frames, inputs, height, width) -> (frames, outputs, height, width), with a pixel of zeros around each frame.
 *
 * @param kernels (36, some outputs, inputs) each, as many outputs in each
 */
export function convolveTiles(x: Edge, kernels: readonly Edge[], bias: Edge | undefined): Edge {
  const height = x.shape[2]!;
  const outputs = kernels.reduce((sum, { shape }) => sum + shape[1]!, 0);
  const tileRows = Math.ceil(height / tile);
  const strips = stripsOf(x.shape, outputs);
  const results = evenParts(tileRows, strips).map(({ start, end }) => convolveStrip(x, kernels, start, end));
  const planes = ops.concat(results, 2); // (frames, outputs, height, width)
  return bias ? ops.add(planes, ops.reshape(bias, [outputs, 1, 1])) : planes;
}

/** The results of tiles from row `start` of them to row `end` (exclusive). */
function convolveStrip(x: Edge, kernels: readonly Edge[], start: number, end: number): Edge {
  const [frames, channels, height, width] = x.shape as [number, number, number, number];
  const [rows, columns] = [end - start, Math.ceil(width / tile)];
  const [top, bottom] = [tile * start - 1, tile * end + 1];
  const [from, to] = [Math.max(top, 0), Math.min(bottom, height)];
  const strip = from === 0 && to === height ? x : ops.slice(x, 2, from, to);
  const planes = ops.reshape(strip, [frames * channels, 1, to - from, width]);
  const matrix = ops.reshape(matrixOf(x.graph, tileMatrix2d), [seen ** 2, 1, seen, seen]);
  const tiles = ops.conv(planes, matrix, undefined, {
    strides: [tile, tile],
    pads: [from - top, 1, bottom - to, tile * columns + 1 - width],
  }); // (frames * channels, 36, rows, columns)
  const spread = frames === 1 ? ops.reshape(tiles, [channels, seen ** 2, rows * columns]) : byProduct(tiles, frames);
  const results = kernels.map((kernel) => {
    const multiplied = ops.batchedMatMul(kernel, spread, { bBatchSecond: frames === 1 }); // (36, some outputs, frames * tiles)
    const some = kernel.shape[1]!;
    const flat = ops.reshape(multiplied, [1, seen ** 2, some * frames * rows * columns]);
    const square = ops.batchedMatMul(flat, matrixOf(x.graph, resultMatrix2d), { transposeA: true, transposeB: true });
    const inTiles = ops.reshape(square, [some, frames, rows, columns, tile, tile]);
    return ops.reshape(ops.transpose(inTiles, [1, 0, 2, 4, 3, 5]), [frames, some, rows * tile, columns * tile]);
  });
  const all = ops.concat(results, 1);
  return ops.crop(ops.crop(all, 2, Math.min(rows * tile, height - start * tile)), 3, width);
}

/**
 * (frames * channels, 36, rows, columns) -> (36, channels, frames * tiles): a Gather of rows, which copies in several
 * threads, where a Transpose has one.
 */
function byProduct(tiles: Edge, frames: number): Edge {
  const { graph, shape } = tiles;
  const [channels, tilesOfFrame] = [shape[0]! / frames, shape[2]! * shape[3]!];
  const numbers = (count: number, step: number, axes: readonly number[]) =>
    addConstant(graph, { dtype: "int32", shape: axes, data: Int32Array.from({ length: count }, (_, i) => i * step) });
  const products = shape[1]!;
  const product = numbers(products, 1, [products, 1, 1]);
  const channel = numbers(channels, products, [channels, 1]);
  const frame = numbers(frames, products * channels, [frames]);
  const rows = ops.reshape(ops.add(ops.add(channel, frame), product), [products * channels * frames]);
  const gathered = ops.gather(ops.reshape(tiles, [frames * channels * products, tilesOfFrame]), rows, 0);
  return ops.reshape(gathered, [products, channels, frames * tilesOfFrame]);
}

/**
 * (1, inputs, frames, pixels) -> (1, outputs, frames, pixels), or two frames fewer without `padding`, frames of zeros at both
 * ends.
 *
 * @param kernel (6, outputs, inputs)
 */
export function convolveFrameTiles(x: Edge, kernel: Edge, bias: Edge, padding: 0 | 1): Edge {
  const [, inputs, given, pixels] = x.shape as [number, number, number, number];
  const outputs = kernel.shape[1]!;
  const frames = given + 2 * padding - 2;
  const tiles = Math.ceil(frames / tile);
  const strips = Math.ceil((seen * tiles * Math.max(inputs, outputs) * pixels) / cachedNumbers);
  const results = evenParts(pixels, strips).map(({ start, end }) => {
    const count = end - start;
    const part = strips === 1 ? x : ops.slice(x, 3, start, end);
    const spread = ops.conv(
      ops.reshape(part, [inputs, 1, given, count]),
      ops.reshape(matrixOf(x.graph, tileMatrix), [seen, 1, seen, 1]),
      undefined,
      { strides: [tile, 1], pads: [padding, 0, tiles * tile + 2 - given - padding, 0] },
    ); // (inputs, 6, tiles, pixels)
    const multiplied = ops.batchedMatMul(kernel, ops.reshape(spread, [inputs, seen, tiles * count]), {
      bBatchSecond: true,
    }); // (6, outputs, tiles * pixels)
    const flat = ops.reshape(multiplied, [1, seen, outputs * tiles * count]);
    const results = ops.batchedMatMul(matrixOf(x.graph, resultMatrix), flat, {});
    const inTiles = ops.reshape(results, [tile, outputs, tiles, count]);
    const inOrder = ops.reshape(ops.transpose(inTiles, [1, 2, 0, 3]), [1, outputs, tiles * tile, count]);
    return ops.crop(inOrder, 2, frames);
  });
  return ops.add(ops.concat(results, 3), ops.reshape(bias, [outputs, 1, 1]));
}

/** (1, rows, columns). */
function matrixOf(graph: Graph, matrix: Matrix): Edge {
  return ops.floats(graph, matrix.flat(), [1, matrix.length, matrix[0]!.length]);
}
