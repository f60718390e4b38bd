/** Which numbers does the CLIP image encoder see? The original picture, blurred, scaled and normalised. */
import type { FloatTensor } from "../tensor.ts";
import { floatTensor } from "../tensor.ts";
import type { Image } from "./image.ts";
import { checkImage } from "./image.ts";

export interface ClipPreprocessOptions {
  /** Side of the square that the encoder takes, pixels: 224. */
  readonly size: number;
  /** `image_mean` of the checkpoint's feature_extractor/preprocessor_config.json, one number a channel. */
  readonly mean: readonly number[];
  /** `image_std` of the same file. */
  readonly std: readonly number[];
}

/**
 * The input of the CLIP image encoder: a Gaussian blur against aliasing, bicubic interpolation with aligned corners (the
 * aspect ratio is not kept), then (value - mean) / std.
 *
 * The reference maps [0, 1] to [-1, 1] before it scales, and back afterwards. Scaling is linear, so this has no effect and is
 * left out.
 *
 * @returns float32, (1, 3, size, size), within 1e-5 of the reference
 * @source diffusers 0.42.1 pipeline_stable_video_diffusion.py `_encode_image`, `_resize_with_antialiasing`
 */
export function clipPixelValues(image: Image, { size, mean, std }: ClipPreprocessOptions): FloatTensor {
  checkImage(image);
  const { width, height, data } = image;
  const columns = samplingWeights(width, size);
  const rows = samplingWeights(height, size);

  const narrow = new Float32Array(height * size * 3); // (height, size, 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < size; x++) {
      const { start, weights } = columns[x]!;
      let red = 0;
      let green = 0;
      let blue = 0;
      let pixel = (y * width + start) * 3;
      for (let k = 0; k < weights.length; k++, pixel += 3) {
        const weight = weights[k]!;
        red += data[pixel]! * weight;
        green += data[pixel + 1]! * weight;
        blue += data[pixel + 2]! * weight;
      }
      const at = (y * size + x) * 3;
      narrow[at] = red / 255;
      narrow[at + 1] = green / 255;
      narrow[at + 2] = blue / 255;
    }
  }

  const tensor = floatTensor([1, 3, size, size]);
  const sums = new Float64Array(size * 3);
  for (let y = 0; y < size; y++) {
    const { start, weights } = rows[y]!;
    sums.fill(0);
    for (let k = 0; k < weights.length; k++) {
      const row = (start + k) * size * 3;
      for (let i = 0; i < sums.length; i++) sums[i]! += narrow[row + i]! * weights[k]!;
    }
    for (let i = 0; i < sums.length; i++) {
      const channel = i % 3;
      const at = (channel * size + y) * size + (i - channel) / 3; // (3, size, size)
      tensor.data[at] = (sums[i]! - mean[channel]!) / std[channel]!;
    }
  }
  return tensor;
}

/** The source pixels that make up one output pixel along one axis. */
interface Sampling {
  readonly start: number;
  readonly weights: Float64Array;
}

/** Blur and interpolation in one: the weights of every source pixel for each of `size` output pixels. */
function samplingWeights(length: number, size: number): readonly Sampling[] {
  const blur = gaussianKernel(length / size);
  const radius = (blur.length - 1) / 2;
  const scale = size > 1 ? Math.fround((length - 1) / (size - 1)) : 0;
  return Array.from({ length: size }, (_, output) => {
    const position = Math.fround(scale * output);
    const whole = Math.floor(position);
    const start = Math.max(0, whole - 1 - radius);
    const end = Math.min(length, whole + 3 + radius);
    const weights = new Float64Array(end - start);
    cubicWeights(position - whole).forEach((cubic, tap) => {
      const center = clamp(whole - 1 + tap, length);
      for (let k = -radius; k <= radius; k++) {
        weights[reflect(center + k, length) - start]! += cubic * blur[k + radius]!;
      }
    });
    return { start, weights };
  });
}

/** Sigma grows with the factor of shrinking; the window is two sigmas wide on either side, at least three pixels. */
function gaussianKernel(factor: number): Float64Array {
  const sigma = Math.max((factor - 1) / 2, 0.001);
  const window = Math.trunc(Math.max(4 * sigma, 3));
  const length = window % 2 === 0 ? window + 1 : window;
  const middle = (length - 1) / 2;
  const kernel = Float64Array.from({ length }, (_, i) => Math.exp(-((i - middle) ** 2) / (2 * sigma ** 2)));
  const sum = kernel.reduce((total, weight) => total + weight, 0);
  return kernel.map((weight) => weight / sum);
}

/** Weights of the pixels at -1, 0, 1, 2 around a position `t` beyond pixel 0: torch's bicubic, a = -0.75. */
function cubicWeights(t: number): readonly number[] {
  const a = -0.75;
  const near = (x: number) => ((a + 2) * x - (a + 3)) * x * x + 1;
  const far = (x: number) => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return [far(t + 1), near(t), near(1 - t), far(2 - t)];
}

function clamp(index: number, length: number): number {
  return Math.min(Math.max(index, 0), length - 1);
}

/** Mirrors an index at the first and last pixel without repeating them. */
function reflect(index: number, length: number): number {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const folded = ((index % period) + period) % period;
  return folded < length ? folded : period - folded;
}
