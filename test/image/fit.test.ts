import { expect, test } from "vitest";
import type { Fit } from "../../src/image/fit.ts";
import { aspectDifference, fitImage } from "../../src/image/fit.ts";
import { resizeImage } from "../../src/image/resize.ts";
import { expectSamePixels, imageOfBase64, pattern } from "./golden-images.ts";

// Pillow 13.0.0: ImageOps.fit and ImageOps.pad(Image.fromarray(pattern(...)), (6, 4), LANCZOS)
test.each([
  ["crop", 19, 13, "GTZTMk9rTGeEYoOth67HrsK0RWJ+Z4OljrfWxNO9upRkhVM1co+vpMnb1bZwi0YtMzhYRm2foMnd2Z1eZyIzL1mEgKbBvsil"],
  ["crop", 11, 23, "co+sjqjBp832yd+r4ZEMoR4qiqXAp8z1yuxg9kgXXQhCCUVmosDuyN6r9kgWYBNEGVNqWG6JufKx45QPXgZAF1JqWnGMeZSz"],
  ["pad", 19, 13, "GDVSMU5qS2WCYIKrhq3HrcK2RGF9ZoKkjbbVwtG8uZVnh1Y4c5CxpcnZ07FuiUcwNTtaSW6focrd2ZpbYyAzMFuGgqjDwMmj"],
  ["pad", 11, 23, "AAAAAAAAMlN0cZOsAAAAAAAAAAAAAAAAma+6p4lyAAAAAAAAAAAAAAAAnXhfXWN7AAAAAAAAAAAAAAAAVmB5nKCMAAAAAAAA"],
] as const)("%s of %s x %s equals Pillow's", (fit, width, height, expected) => {
  const fitted = fitImage(pattern(width, height), { width: 6, height: 4, fit });
  expectSamePixels(fitted, imageOfBase64(6, 4, expected), 0, fit);
});

test("stretch is the pipeline's own resize", () => {
  const size = { width: 16, height: 8 };
  const expected = resizeImage(pattern(19, 13), { ...size, filter: "lanczos" });
  expect(fitImage(pattern(19, 13), { ...size, fit: "stretch" })).toEqual(expected);
});

test("every fit gives the exact size, also for extreme shapes", () => {
  for (const [width, height] of [
    [1, 500],
    [500, 1],
    [1, 1],
    [333, 7],
  ] as const) {
    for (const fit of ["stretch", "crop", "pad"] as const) {
      const fitted = fitImage(pattern(width, height), { width: 24, height: 16, fit });
      expect([fitted.width, fitted.height, fitted.data.length]).toEqual([24, 16, 24 * 16 * 3]);
    }
  }
});

test("an unknown fit is refused", () => {
  expect(() => fitImage(pattern(4, 4), { width: 8, height: 8, fit: "cover" as Fit })).toThrow(
    expect.objectContaining({
      code: "invalid-option",
      message: 'fitImage: fit is "cover", expected one of stretch, crop, pad',
    }),
  );
});

test("the aspect difference is the same seen from both sides", () => {
  const wide = { width: 1024, height: 576 };
  expect(aspectDifference({ width: 1920, height: 1080 }, wide)).toBe(0);
  expect(aspectDifference({ width: 1000, height: 500 }, wide)).toBeCloseTo(0.125, 10);
  expect(aspectDifference(wide, { width: 1000, height: 500 })).toBeCloseTo(0.125, 10);
  expect(aspectDifference({ width: 576, height: 1024 }, wide)).toBeCloseTo((1024 / 576) ** 2 - 1, 10);
});
