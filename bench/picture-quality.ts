/** How far is one clip from another? Clips are (frames, height, width, 3) in [0, 1]. */
import { type FloatTensor, sameShape } from "../src/tensor.ts";

/** Peak signal-to-noise ratio over the whole clip, in dB; infinite for equal clips. */
export function psnr(got: FloatTensor, expected: FloatTensor): number {
  assertSameShape(got, expected);
  const squares = got.data.reduce((sum, value, index) => sum + (value - expected.data[index]!) ** 2, 0);
  return -10 * Math.log10(squares / got.data.length);
}

/** The largest difference of a value. */
export function largestDifference(got: FloatTensor, expected: FloatTensor): number {
  assertSameShape(got, expected);
  return got.data.reduce((largest, value, index) => Math.max(largest, Math.abs(value - expected.data[index]!)), 0);
}

/**
 * How differently two clips move: the mean absolute difference of the change from each frame to the next, in levels of 255.
 *
 * @param counts which changes count, by the number of the later frame, from 1. Default: all
 */
export function temporalDifference(
  got: FloatTensor,
  expected: FloatTensor,
  counts: (frame: number) => boolean = () => true,
): number {
  assertSameShape(got, expected);
  const [frames] = got.shape as [number];
  const size = got.data.length / frames;
  let [sum, values] = [0, 0];
  for (let frame = 1; frame < frames; frame++) {
    if (!counts(frame)) continue;
    for (let index = frame * size; index < (frame + 1) * size; index++) {
      const change = got.data[index]! - got.data[index - size]!;
      const expectedChange = expected.data[index]! - expected.data[index - size]!;
      sum += Math.abs(change - expectedChange);
    }
    values += size;
  }
  return (255 * sum) / values;
}

/** A Gaussian window of 11 pixels and sigma 1.5, and the constants for a range of 1: section III.B of the paper. */
const gaussian = normalised(Array.from({ length: 11 }, (_, index) => Math.exp(-((index - 5) ** 2) / (2 * 1.5 ** 2))));
const [c1, c2] = [0.01 ** 2, 0.03 ** 2];

/**
 * Mean structural similarity of frames and colour channels, where the window lies inside the picture.
 *
 * @source Wang et al. 2004, Image Quality Assessment: From Error Visibility to Structural Similarity, equation 13
 */
export function ssim(got: FloatTensor, expected: FloatTensor): number {
  assertSameShape(got, expected);
  const [frames, height, width, channels] = got.shape as [number, number, number, number];
  let sum = 0;
  for (let frame = 0; frame < frames; frame++) {
    for (let channel = 0; channel < channels; channel++) {
      const [x, y] = [got, expected].map(({ data }) => {
        const plane = new Float64Array(height * width);
        for (let i = 0; i < plane.length; i++) plane[i] = data[(frame * plane.length + i) * channels + channel]!;
        return plane;
      }) as [Float64Array, Float64Array];
      sum += planeSsim(x, y, height, width);
    }
  }
  return sum / (frames * channels);
}

function planeSsim(x: Float64Array, y: Float64Array, height: number, width: number): number {
  const windowMean = (plane: Float64Array) => filter(plane, height, width);
  const product = (a: Float64Array, b: Float64Array) => a.map((value, index) => value * b[index]!);
  const [meanX, meanY] = [windowMean(x), windowMean(y)];
  const [squareX, squareY, productXY] = [product(x, x), product(y, y), product(x, y)].map(windowMean) as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const sum = meanX.reduce((total, mx, index) => {
    const my = meanY[index]!;
    const covariance = productXY[index]! - mx * my;
    const variances = squareX[index]! - mx * mx + (squareY[index]! - my * my);
    const luminance = (2 * mx * my + c1) / (mx * mx + my * my + c1);
    return total + (luminance * (2 * covariance + c2)) / (variances + c2);
  }, 0);
  return sum / meanX.length;
}

/** The Gaussian over rows, then columns; the result is as much smaller as the window is long. */
function filter(plane: Float64Array, height: number, width: number): Float64Array {
  const [innerHeight, innerWidth] = [height - gaussian.length + 1, width - gaussian.length + 1];
  const rows = new Float64Array(height * innerWidth);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < innerWidth; x++) {
      for (const [tap, weight] of gaussian.entries()) rows[y * innerWidth + x]! += weight * plane[y * width + x + tap]!;
    }
  }
  const result = new Float64Array(innerHeight * innerWidth);
  for (let y = 0; y < innerHeight; y++) {
    for (let x = 0; x < innerWidth; x++) {
      for (const [tap, weight] of gaussian.entries()) {
        result[y * innerWidth + x]! += weight * rows[(y + tap) * innerWidth + x]!;
      }
    }
  }
  return result;
}

function normalised(weights: readonly number[]): number[] {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

function assertSameShape(got: FloatTensor, expected: FloatTensor): void {
  if (!sameShape(got.shape, expected.shape)) {
    throw new Error(`clips have shapes [${got.shape}] and [${expected.shape}]`);
  }
}
