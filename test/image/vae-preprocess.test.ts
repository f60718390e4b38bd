/** Golden: python -m reference.golden image (reference/golden/image.py), pillow 13.0.0 */
import { test } from "vitest";
import { fitImage } from "../../src/image/fit.ts";
import { vaePixelValues } from "../../src/image/vae-preprocess.ts";
import { expectClose, permuted, readGolden } from "../support/golden.ts";
import { imageFrom } from "./golden-images.ts";

test("the VAE's input is the reference's", async () => {
  const golden = await readGolden("image", "golden", "preprocess.safetensors");
  for (const name of ["down", "up", "same"]) {
    const expected = permuted(golden.tensor(`${name}.image`), [0, 2, 3, 1]); // (1, height, width, 3)
    const [, height, width] = expected.shape as [number, number, number, number];
    const fitted = fitImage(imageFrom(golden.tensor(`${name}.picture`)), { width, height, fit: "stretch" });
    const actual = vaePixelValues(fitted);
    expectClose(actual, expected, golden.tolerance, name);
  }
});
