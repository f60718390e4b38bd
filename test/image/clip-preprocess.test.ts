/** Golden: python -m reference.golden image (reference/golden/image.py), pillow 13.0.0 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { clipPixelValues } from "../../src/image/clip-preprocess.ts";
import type { Image } from "../../src/image/image.ts";
import { floatTensor } from "../../src/tensor.ts";
import { expectClose, readGolden } from "../support/golden.ts";
import { imageFrom, pattern } from "./golden-images.ts";

const checkpoint = join(import.meta.dirname, "..", "checkpoints", "two-levels-fp32");
const extractor = JSON.parse(readFileSync(join(checkpoint, "feature_extractor", "preprocessor_config.json"), "utf8"));
const options = { size: 224, mean: extractor.image_mean, std: extractor.image_std };

/** Every pixel `times` across and down. */
function repeated({ width, height, data }: Image, times: number): Image {
  const wide = width * times;
  const bytes = Uint8Array.from({ length: wide * height * times * 3 }, (_, i) => {
    const [x, y] = [Math.floor((Math.floor(i / 3) % wide) / times), Math.floor(Math.floor(i / 3 / wide) / times)];
    return data[(y * width + x) * 3 + (i % 3)]!;
  });
  return { width: wide, height: height * times, data: bytes };
}

test("CLIP's pixel values are the reference's, for pictures larger and smaller than 224", async () => {
  const golden = await readGolden("image", "golden", "pixel-values.safetensors");
  const repeat = golden.details.repeat as Record<string, number>;
  const kept = golden.details.kept as number[];
  expect(Object.keys(repeat).length).toBeGreaterThan(5);
  for (const [name, times] of Object.entries(repeat)) {
    const { shape, data } = clipPixelValues(repeated(imageFrom(golden.tensor(`${name}.picture`)), times), options);
    expect(shape).toEqual([1, 3, 224, 224]);
    const seen = [0, 1, 2].flatMap((c) => kept.flatMap((y) => kept.map((x) => data[(c * 224 + y) * 224 + x]!)));
    const actual = floatTensor([3, kept.length, kept.length], Float32Array.from(seen));
    expectClose(actual, golden.tensor(`${name}.pixel_values`), golden.tolerance, name);
  }
});

test("a picture one pixel wide, high or both keeps its colour, where the reference fails", () => {
  for (const [width, height] of [
    [1, 1],
    [1, 300],
    [300, 1],
  ] as const) {
    const image = { width, height, data: new Uint8Array(width * height * 3).fill(51) };
    const { data } = clipPixelValues(image, { size: 8, mean: [0, 0, 0], std: [1, 1, 1] });
    for (const value of data) expect(value).toBeCloseTo(0.2, 6);
  }
});

test("mean and deviation apply to their own channel", () => {
  const image = pattern(40, 30);
  const plain = clipPixelValues(image, { size: 8, mean: [0, 0, 0], std: [1, 1, 1] });
  const normalised = clipPixelValues(image, { size: 8, mean: [0.1, 0.2, 0.3], std: [0.5, 0.25, 2] });
  const expected = plain.data.map((value, i) => {
    const channel = Math.floor(i / 64);
    return (value - [0.1, 0.2, 0.3][channel]!) / [0.5, 0.25, 2][channel]!;
  });
  expectClose(normalised, floatTensor([1, 3, 8, 8], expected), { relative: 1e-6, absolute: 0 });
});
