import { expect, it } from "vitest";
import { largestDifference, psnr, ssim, temporalDifference } from "../../bench/picture-quality.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { randn } from "../../src/random/randn.ts";
import { type FloatTensor, floatTensor } from "../../src/tensor.ts";

/** Values around 0.5 that hardly leave [0, 1]. */
function noisyClip(
  shape: [frames: number, height: number, width: number, channels: number],
  seed: number,
): FloatTensor {
  const { data } = randn(createGenerator(seed), shape, "float32");
  return floatTensor(
    shape,
    data.map((value) => 0.5 + 0.15 * value),
  );
}

const constantClip = (value: number) => floatTensor([2, 12, 13, 3], new Float32Array(2 * 12 * 13 * 3).fill(value));

it("PSNR of clips that differ by a tenth of the range everywhere is 20 dB, of equal ones infinite", () => {
  expect(psnr(constantClip(0.5), constantClip(0.6))).toBeCloseTo(20, 4);
  expect(psnr(constantClip(0.5), constantClip(0.5))).toBe(Number.POSITIVE_INFINITY);
});

it("the largest difference is that of a single value", () => {
  const [clip, other] = [noisyClip([2, 3, 4, 3], 1), noisyClip([2, 3, 4, 3], 1)];
  other.data[17]! += 0.25;
  expect(largestDifference(clip, other)).toBeCloseTo(0.25, 6);
});

it("clips of different shapes are not compared", () => {
  const turned = floatTensor([2, 13, 12, 3]);
  for (const measure of [psnr, ssim, temporalDifference, largestDifference]) {
    expect(() => measure(constantClip(0), turned)).toThrow("shapes [2,12,13,3] and [2,13,12,3]");
  }
});

it("temporal difference sees motion and no constant offset, in levels of 255", () => {
  const frames = (...values: number[]) => floatTensor([values.length, 1, 1, 1], Float32Array.from(values));
  expect(temporalDifference(frames(0.2, 0.3, 0.5), frames(0.4, 0.5, 0.7))).toBeCloseTo(0, 4);
  // changes 0.1, 0.2 against 0.3, 0.1
  expect(temporalDifference(frames(0.2, 0.3, 0.5), frames(0, 0.3, 0.4))).toBeCloseTo((255 * (0.2 + 0.1)) / 2, 4);
});

it("temporal difference counts only the changes that it is asked for", () => {
  const still = floatTensor([5, 1, 1, 1]);
  const jump = floatTensor([5, 1, 1, 1], Float32Array.of(0, 0, 1, 1, 1));
  const isBorder = (window: number) => (frame: number) => frame % window === 0;
  expect(temporalDifference(jump, still, isBorder(2))).toBe(255 / 2); // frames 2 and 4
  expect(temporalDifference(jump, still, isBorder(3))).toBe(0); // frame 3
});

it("SSIM of equal clips is 1, and of constant ones what is left of equation 13", () => {
  const clip = noisyClip([2, 20, 17, 3], 2);
  expect(ssim(clip, clip)).toBeCloseTo(1, 12);
  const luminance = (2 * 0.25 * 0.5 + 0.01 ** 2) / (0.25 ** 2 + 0.5 ** 2 + 0.01 ** 2);
  expect(ssim(constantClip(0.25), constantClip(0.5))).toBeCloseTo(luminance, 12);
});

it("SSIM is that of windows taken one by one", () => {
  const [height, width] = [16, 19];
  const x = noisyClip([1, height, width, 3], 3);
  const y = noisyClip([1, height, width, 3], 4);
  y.data.forEach((value, index) => {
    y.data[index] = 0.6 * x.data[index]! + 0.4 * value;
  });
  const weight = (dy: number, dx: number) => Math.exp(-((dy - 5) ** 2 + (dx - 5) ** 2) / (2 * 1.5 ** 2));
  const values: number[] = [];
  for (let top = 0; top <= height - 11; top++) {
    for (let left = 0; left <= width - 11; left++) {
      for (let channel = 0; channel < 3; channel++) {
        const samples: { w: number; a: number; b: number }[] = [];
        for (let dy = 0; dy < 11; dy++) {
          for (let dx = 0; dx < 11; dx++) {
            const index = ((top + dy) * width + left + dx) * 3 + channel;
            samples.push({ w: weight(dy, dx), a: x.data[index]!, b: y.data[index]! });
          }
        }
        const total = samples.reduce((sum, { w }) => sum + w, 0);
        const mean = (of: (sample: { a: number; b: number }) => number) =>
          samples.reduce((sum, sample) => sum + (sample.w / total) * of(sample), 0);
        const [a, b] = [mean((s) => s.a), mean((s) => s.b)];
        const [varianceA, varianceB] = [mean((s) => (s.a - a) ** 2), mean((s) => (s.b - b) ** 2)];
        const covariance = mean((s) => (s.a - a) * (s.b - b));
        const luminance = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4);
        values.push((luminance * (2 * covariance + 9e-4)) / (varianceA + varianceB + 9e-4));
      }
    }
  }
  const expected = values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(expected).toBeLessThan(0.95);
  expect(ssim(x, y)).toBeCloseTo(expected, 10);
});
