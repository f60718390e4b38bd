import { expect, test } from "vitest";
import { vaePixelValues } from "../../src/image/vae-preprocess.ts";
import { expectClose, permuted, readGolden } from "../support/golden.ts";
import { imageFrom, pattern } from "./golden-images.ts";

test("the VAE's input is the reference's", async () => {
  const golden = await readGolden("image", "golden", "preprocess.safetensors");
  for (const name of ["down", "up", "same"]) {
    const expected = permuted(golden.tensor(`${name}.image`), [0, 2, 3, 1]); // (1, height, width, 3)
    const [, height, width] = expected.shape as [number, number, number, number];
    const actual = vaePixelValues([imageFrom(golden.tensor(`${name}.picture`))], { width, height });
    expectClose(actual, expected, golden.tolerance, name);
  }
});

test("several images lie one after the other, whatever their sizes", () => {
  const [a, b] = [pattern(20, 30), pattern(7, 5)];
  const size = { width: 16, height: 8 };
  const both = vaePixelValues([a, b], size);
  expect(both.shape).toEqual([2, 8, 16, 3]);
  expect([...both.data]).toEqual([...vaePixelValues([a], size).data, ...vaePixelValues([b], size).data]);
});

test("no image at all is refused", () => {
  expect(() => vaePixelValues([], { width: 8, height: 8 })).toThrow(expect.objectContaining({ code: "invalid-image" }));
});
