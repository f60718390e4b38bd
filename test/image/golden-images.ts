/** How do the image tests read pictures from golden files, and compare bytes? */
import { expect } from "vitest";
import type { Image } from "../../src/image/image.ts";
import type { FloatTensor } from "../../src/tensor.ts";

/** Bytes of (height, width, 3), or of (height, width) with the one channel three times. */
export function imageFrom({ shape, data }: FloatTensor): Image {
  const [height, width, channels] = shape as [number, number, number?];
  const bytes = Uint8Array.from(
    { length: height * width * 3 },
    (_, i) => data[channels === 3 ? i : Math.floor(i / 3)]!,
  );
  return { width, height, data: bytes };
}

/** Fails with the largest and mean difference where the bytes are further apart than allowed. */
export function expectSamePixels(actual: Image, expected: Image, allowed: number, what: string): void {
  expect([actual.width, actual.height], `size of ${what}`).toEqual([expected.width, expected.height]);
  const differences = Array.from(expected.data, (value, i) => Math.abs(value - actual.data[i]!));
  const largest = differences.reduce((a, b) => Math.max(a, b), 0);
  const mean = differences.reduce((a, b) => a + b, 0) / differences.length;
  expect(actual.data.length, `bytes of ${what}`).toBe(expected.data.length);
  expect(largest, `${what}: largest difference ${largest}, mean ${mean}, allowed ${allowed}`).toBeLessThanOrEqual(
    allowed,
  );
}

/** A picture that Python makes with `(x * 7 + y * 13 + c * 29 + x * y) % 256`. */
export function pattern(width: number, height: number): Image {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const [x, y, c] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3];
    return (x * 7 + y * 13 + c * 29 + x * y) % 256;
  });
  return { width, height, data };
}

export function imageOfBase64(width: number, height: number, base64: string): Image {
  return { width, height, data: new Uint8Array(Buffer.from(base64, "base64")) };
}
