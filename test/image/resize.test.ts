/** Golden: python -m reference.golden image (reference/golden/image.py), pillow 13.0.0 */
import { expect, test } from "vitest";
import { resizeImage } from "../../src/image/resize.ts";
import type { ResizeFilter } from "../../src/image/resize-filters.ts";
import { resizeFilters } from "../../src/image/resize-filters.ts";
import { readGolden } from "../support/golden.ts";
import { expectSamePixels, imageFrom, imageOfBase64, pattern } from "./golden-images.ts";

test.each(resizeFilters)("%s equals Pillow's byte for byte, up and down, to odd and tiny sizes", async (filter) => {
  for (const mode of ["RGB", "L"]) {
    const golden = await readGolden("image", "golden", `resize-${mode.toLowerCase()}.safetensors`);
    const cases = golden.names(`${mode}.`).filter((name) => name.split(".")[2] === filter);
    expect(cases.length).toBeGreaterThan(10);
    for (const name of cases) {
      const [, source, , size] = name.split(".") as [string, string, ResizeFilter, string];
      const [width, height] = size.split("x").map(Number) as [number, number];
      const resized = resizeImage(imageFrom(golden.tensor(`${mode}.${source}`)), { width, height, filter });
      expectSamePixels(resized, imageFrom(golden.tensor(name)), 0, name);
    }
  }
});

// Pillow 13.0.0: Image.fromarray(pattern(19, 13)).resize(size, filter, box=...)
test.each([
  [
    "bicubic",
    [1.25, 2.5, 17.75, 11.125],
    5,
    4,
    "Plt4YX6bgqDDp8vazLt0X3yZiajKt9bNz59TZzA0gJ3BttfL1Yk0SydBN1x+pMfK1ItNTylDQGSEg6G+",
  ],
  [
    "nearest",
    [1.25, 2.5, 17.75, 11.125],
    5,
    4,
    "O1h1Y4CdgZ67n7zZx+QBWXaTiabDrcrn0e4LAR47d5Sxr8zp2fYTAyA9O1h1pMHe6AUiGzhVTmuIkq/M",
  ],
  ["bicubic", [2, 3, 6, 6], 4, 3, "O1h1RWJ/T2yJWXaTSmeEVXKPYH2aa4ilWXaTZYKfcY6rfZq3"],
] as const)("a %s box %j is scaled as in Pillow", (filter, [left, top, right, bottom], width, height, expected) => {
  const resized = resizeImage(pattern(19, 13), { width, height, filter, box: { left, top, right, bottom } });
  expectSamePixels(resized, imageOfBase64(width, height, expected), 0, filter);
});

test("bicubic is the default, and the same size is a copy", () => {
  const image = pattern(9, 7);
  const size = { width: 20, height: 5 };
  expect(resizeImage(image, size)).toEqual(resizeImage(image, { ...size, filter: "bicubic" }));
  const copy = resizeImage(image, { width: 9, height: 7 });
  expect(copy).toEqual(image);
  expect(copy.data).not.toBe(image.data);
});

test("a box is refused outside the image, and so are sizes below 1 and unknown filters", () => {
  const image = pattern(9, 7);
  for (const [options, message] of [
    [{ width: 0, height: 5 }, "resizeImage: width is 0, expected a whole number from 1 up"],
    [{ width: 5, height: 2.5 }, "resizeImage: height is 2.5"],
    [{ width: 5, height: Number.NaN }, "resizeImage: height is NaN"],
    [{ width: 5, height: 5, filter: "cubic" }, 'filter is "cubic", expected one of nearest, box, bilinear, hamming'],
    [
      { width: 5, height: 5, box: { left: 0, top: 0, right: 10, bottom: 7 } },
      "box is (0, 0, 10, 7), expected a part of the 9x7",
    ],
    [{ width: 5, height: 5, box: { left: 3, top: 0, right: 3, bottom: 7 } }, "left < right"],
  ] as const) {
    expect(() => resizeImage(image, options as { width: number; height: number })).toThrow(
      expect.objectContaining({ code: "invalid-option", message: expect.stringContaining(message) }),
    );
  }
});
