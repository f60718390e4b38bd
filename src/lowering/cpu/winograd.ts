/**
 * How does a convolution of three taps need fewer multiplications? As Winograd's F(4, 3): a tile of 6 numbers and a kernel of
 * 3 are each turned into 6 numbers, these are multiplied one by one, and the 6 products give 4 results. That is half of the multiplications across frames, and a
 * quarter within a frame, where tiles have two directions. Small maps use F(2, 3), whose transformed kernels are smaller.
 *
 * https://arxiv.org/abs/1509.09308, section 4. The matrices are Cook and Toom's, for some points and infinity.
 */
import { addConstant, type Edge } from "../../onnx/graph.ts";
import * as ops from "../../onnx/ops.ts";
import { divisorFrom, evenParts } from "../even-parts.ts";

/** How tiles of one size, in one direction or in two, are convolved. */
export interface Tiles {
  /** Results along one side of a tile. */
  readonly results: number;
  /** Numbers of the map that a tile reads along one side. */
  readonly seen: number;
  /** Products of a tile: so many numbers are made of the tile, and of the kernel. */
  readonly products: number;
  /** (products, taps). */
  readonly kernelMatrix: Matrix;
  /** (products, numbers seen). */
  readonly tileMatrix: Matrix;
  /** (results, products). */
  readonly resultMatrix: Matrix;
}

interface Maps {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

type Matrix = readonly (readonly number[])[];

/** Tiles in one direction, with one result fewer than there are points. */
function tilesOf(points: readonly number[]): Tiles {
  const results = points.length - 1;
  const kernelRows = points.map((point, own) => {
    const scale = points.reduce((product, other, index) => (index === own ? product : product * (point - other)), 1);
    return [1 / scale, point / scale, point ** 2 / scale];
  });
  // The coefficients of the polynomial whose roots are the other points; for infinity, of the one whose roots are all points.
  const tileRows = points.map((_, own) => [...withRoots(points.filter((_, index) => index !== own)), 0]);
  const resultRows = Array.from({ length: results }, (_, power) => [
    ...points.map((point) => point ** power),
    power === results - 1 ? 1 : 0,
  ]);
  return {
    results,
    seen: results + 2,
    products: results + 2,
    kernelMatrix: [...kernelRows, [0, 0, 1]],
    tileMatrix: [...tileRows, withRoots(points)],
    resultMatrix: resultRows,
  };
}

/** The coefficients of (x - a)(x - b)..., lowest power first. */
function withRoots(roots: readonly number[]): number[] {
  let polynomial = [1];
  for (const root of roots) {
    const times = (power: number) => (polynomial[power - 1] ?? 0) - root * (polynomial[power] ?? 0);
    polynomial = Array.from({ length: polynomial.length + 1 }, (_, power) => times(power));
  }
  return polynomial;
}

/** The same tiles in both directions at once: the matrices become Kronecker products with themselves. */
function bothWays(tiles: Tiles): Tiles {
  const square = (matrix: Matrix) =>
    matrix.flatMap((down) => matrix.map((across) => down.flatMap((a) => across.map((b) => a * b))));
  return {
    ...tiles,
    products: tiles.products ** 2,
    kernelMatrix: square(tiles.kernelMatrix),
    tileMatrix: square(tiles.tileMatrix),
    resultMatrix: square(tiles.resultMatrix),
  };
}

/** Tiles across frames. The usual points 0, 1, -1, 2 and -2 would have twice the rounding error. */
const frameTiles = tilesOf([0, 3 / 4, -3 / 4, 3 / 2, -3 / 2]);

/** F(2x2, 3x3) and F(4x4, 3x3), for 3 x 3 convolutions within a frame. */
export const smallTiles = bothWays(tilesOf([0, 1, -1]));
export const largeTiles = bothWays(frameTiles);

/** Numbers in the largest array that is made on the way, so that it stays in a processor's cache. */
const cachedNumbers = 8e6;

/** The most multiplications for each plane with which the tiles of a map are made in one product. */
const largestTransform = 100_000;

/**
 * The fastest tiles for a 3 x 3 convolution of maps; undefined where the convolution itself is faster. The figures were fitted to
 * measurements: transforming a kernel takes as long as 40 more tiles, work for each channel counts where channels are few, and
 * a convolution itself is slow where a map has few pixels.
 */
export function mapTilesFor(maps: Maps, inputs: number, outputs: number): Tiles | undefined {
  const { frames, height, width } = maps;
  const multiplications = (tiles: Tiles) => tiles.products * (tileCount(maps, tiles) + 40);
  const tiles = multiplications(smallTiles) < multiplications(largeTiles) ? smallTiles : largeTiles;
  const worth = 9 * frames * height * width * (0.85 + 8 / (height * width) - 64 / Math.min(inputs, outputs));
  return multiplications(tiles) < worth ? tiles : undefined;
}

function tileCount({ frames, height, width }: Maps, { results }: Tiles): number {
  return frames * Math.ceil(height / results) * Math.ceil(width / results);
}

/**
 * Whether tiles are faster for a convolution across frames. They need half of its products, and more where tiles reach beyond the
 * last frame.
 */
export function isWorthFrameTiles(frames: number, pixels: number, inputs: number, outputs: number): boolean {
  const products = (frameTiles.seen * Math.ceil(frames / frameTiles.results)) / (3 * frames);
  return products + 80 / Math.min(inputs, outputs) + 200 / (frames * pixels) < 0.85;
}

/** Into how many strips of rows a picture is divided. */
function stripsOf([frames, inputs, height, width]: readonly number[], outputs: number, tiles: Tiles): number {
  const rows = Math.ceil(height! / tiles.results);
  const numbersOfRow = tiles.products * frames! * Math.max(inputs!, outputs) * Math.ceil(width! / tiles.results);
  return Math.ceil(rows / Math.max(1, Math.floor(cachedNumbers / numbersOfRow)));
}

/**
 * Into how many equal pieces a kernel is divided to be transformed and used. It is one piece where several strips read it. Small
 * pieces are still in the cache when they are used, but the map's tiles are packed once for each piece.
 */
export function piecesOfKernel(x: Edge, outputs: number, tiles: Tiles): number {
  if (stripsOf(x.shape, outputs, tiles) > 1) return 1;
  const [frames, inputs, height, width] = x.shape as [number, number, number, number];
  const numbersOfOutput = tiles.products * inputs;
  const worthPacking = 3 * tileCount({ frames, height, width }, tiles) * numbersOfOutput;
  const numbersOfPiece = Math.min(Math.max(worthPacking, cachedNumbers / 4), cachedNumbers);
  return divisorFrom(Math.ceil((numbersOfOutput * outputs) / numbersOfPiece), outputs);
}

/** (outputs, inputs, 3, 3) -> (products, outputs, inputs). */
export function transformKernel(kernel: Edge, { kernelMatrix, products }: Tiles): Edge {
  const [outputs, inputs, rows, columns] = kernel.shape as [number, number, number, number];
  const taps = ops.reshape(kernel, [1, outputs * inputs, rows * columns]);
  const transformed = ops.batchedMatMul(matrixOf(kernel, kernelMatrix), taps, { transposeB: true });
  return ops.reshape(transformed, [products, outputs, inputs]);
}

/**
 * (frames, inputs, height, width) -> (frames, outputs, height, width), with a pixel of zeros around each frame.
 *
 * @param kernels (products, some outputs, inputs) each, with equally many outputs
 */
export function convolveTiles(x: Edge, kernels: readonly Edge[], bias: Edge | undefined, tiles: Tiles): Edge {
  const outputs = kernels.reduce((sum, { shape }) => sum + shape[1]!, 0);
  const tileRows = Math.ceil(x.shape[2]! / tiles.results);
  const strips = evenParts(tileRows, stripsOf(x.shape, outputs, tiles));
  const results = strips.map(({ start, end }) => convolveStrip(x, kernels, tiles, start, end));
  const planes = ops.concat(results, 2); // (frames, outputs, height, width)
  return bias ? ops.add(planes, ops.reshape(bias, [outputs, 1, 1])) : planes;
}

/** The results of the tiles from their row `start` to their row `end` (exclusive). */
function convolveStrip(x: Edge, kernels: readonly Edge[], tiles: Tiles, start: number, end: number): Edge {
  const { results: side, products, resultMatrix } = tiles;
  const [frames, channels, height, width] = x.shape as [number, number, number, number];
  const [rows, columns] = [end - start, Math.ceil(width / side)];
  const [top, bottom] = [side * start - 1, side * end + 1];
  const [from, to] = [Math.max(top, 0), Math.min(bottom, height)];
  const strip = from === 0 && to === height ? x : ops.slice(x, 2, from, to);
  const pads = [from - top, 1, bottom - to, side * columns + 1 - width] as const;
  const transformed = transformTiles(strip, [rows, columns], pads, tiles);
  const spread =
    frames === 1 ? ops.reshape(transformed, [channels, products, rows * columns]) : byProduct(transformed, frames);
  const multiplied = kernels.map((kernel) => ops.batchedMatMul(kernel, spread, { bBatchSecond: frames === 1 }));
  const all = ops.concat(multiplied, 1); // (products, outputs, frames * tiles)
  const outputs = all.shape[1]!;
  const flat = ops.reshape(all, [1, products, outputs * frames * rows * columns]);
  const square = ops.batchedMatMul(flat, matrixOf(x, resultMatrix), { transposeA: true, transposeB: true });
  const inTiles = ops.reshape(square, [outputs, frames, rows, columns, side, side]);
  const inOrder = ops.transpose(inTiles, [1, 0, 2, 4, 3, 5]);
  const whole = ops.reshape(inOrder, [frames, outputs, rows * side, columns * side]);
  return ops.crop(ops.crop(whole, 2, Math.min(rows * side, height - start * side)), 3, width);
}

/**
 * (frames, channels, height, width) -> (frames * channels, products, rows, columns) of tiles. It is a convolution of one channel. For a
 * small map it is one product, since a convolution takes some time for each plane.
 */
function transformTiles(
  map: Edge,
  [rows, columns]: readonly [number, number],
  pads: readonly [number, number, number, number],
  tiles: Tiles,
): Edge {
  const { results: side, seen, products, tileMatrix } = tiles;
  const [frames, channels, height, width] = map.shape as [number, number, number, number];
  const [planes, pixels] = [frames * channels, height * width];
  if (pixels * rows * columns * products > largestTransform) {
    const matrix = ops.reshape(matrixOf(map, tileMatrix), [products, 1, seen, seen]);
    return ops.conv(ops.reshape(map, [planes, 1, height, width]), matrix, undefined, { strides: [side, side], pads });
  }
  const name = `tiles:${side}:${height}x${width}:${pads}`;
  const shape = [pixels, products * rows * columns];
  const matrix = ops.namedNumbersLike(map, name, shape, () =>
    denseTransform([height, width], [rows, columns], pads, tiles),
  );
  const transformed = ops.matMul(ops.reshape(map, [planes, pixels]), matrix);
  return ops.reshape(transformed, [planes, products, rows, columns]);
}

/** (pixels, products * tiles): the factor with which each pixel of a map enters each number of each tile. */
function denseTransform(
  [height, width]: readonly [number, number],
  [rows, columns]: readonly [number, number],
  [top, left]: readonly [number, number, number, number],
  { results: side, seen, products, tileMatrix }: Tiles,
): Float32Array {
  const tilesOfMap = rows * columns;
  const length = products * tilesOfMap;
  return Float32Array.from({ length: height * width * length }, (_, index) => {
    const [pixel, product, tile] = [
      Math.floor(index / length),
      Math.floor((index % length) / tilesOfMap),
      index % tilesOfMap,
    ];
    const row = Math.floor(pixel / width) + top - side * Math.floor(tile / columns);
    const column = (pixel % width) + left - side * (tile % columns);
    const isSeen = row >= 0 && row < seen && column >= 0 && column < seen;
    return isSeen ? tileMatrix[product]![row * seen + column]! : 0;
  });
}

/**
 * (frames * channels, products, rows, columns) -> (products, channels, frames * tiles). A Gather of rows copies in several threads,
 * where a Transpose copies in one.
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

/** (outputs, inputs, 3, 1) -> (6, outputs, inputs). */
export function transformFrameKernel(kernel: Edge): Edge {
  return transformKernel(kernel, frameTiles);
}

/**
 * (1, inputs, frames, pixels) -> (1, outputs, frames, pixels) with a `padding` of one frame of zeros at both ends, and two frames
 * fewer without it.
 *
 * @param kernel (6, outputs, inputs)
 */
export function convolveFrameTiles(x: Edge, kernel: Edge, bias: Edge, padding: 0 | 1): Edge {
  const [, inputs, given, pixels] = x.shape as [number, number, number, number];
  const { results: side, seen, tileMatrix, resultMatrix } = frameTiles;
  const outputs = kernel.shape[1]!;
  const frames = given + 2 * padding - 2;
  const tiles = Math.ceil(frames / side);
  const strips = Math.ceil((seen * tiles * Math.max(inputs, outputs) * pixels) / cachedNumbers);
  const results = evenParts(pixels, strips).map(({ start, end }) => {
    const count = end - start;
    const part = strips === 1 ? x : ops.slice(x, 3, start, end);
    const spread = ops.conv(
      ops.reshape(part, [inputs, 1, given, count]),
      ops.reshape(matrixOf(x, tileMatrix), [seen, 1, seen, 1]),
      undefined,
      { strides: [side, 1], pads: [padding, 0, tiles * side + 2 - given - padding, 0] },
    ); // (inputs, 6, tiles, pixels)
    const multiplied = ops.batchedMatMul(kernel, ops.reshape(spread, [inputs, seen, tiles * count]), {
      bBatchSecond: true,
    }); // (6, outputs, tiles * pixels)
    const flat = ops.reshape(multiplied, [1, seen, outputs * tiles * count]);
    const results = ops.batchedMatMul(matrixOf(x, resultMatrix), flat, {});
    const inTiles = ops.reshape(results, [side, outputs, tiles, count]);
    const inOrder = ops.reshape(ops.transpose(inTiles, [1, 2, 0, 3]), [1, outputs, tiles * side, count]);
    return ops.crop(inOrder, 2, frames);
  });
  return ops.add(ops.concat(results, 3), ops.reshape(bias, [outputs, 1, 1]));
}

/** (1, rows, columns), for what is multiplied by it. */
function matrixOf(other: Edge, matrix: Matrix): Edge {
  return ops.numbersLike(other, matrix.flat(), [1, matrix.length, matrix[0]!.length]);
}
