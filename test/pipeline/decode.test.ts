import { expect, it } from "vitest";
import { toImages } from "../../src/pipeline/decode.ts";
import { floatTensor } from "../../src/tensor.ts";

it("rounds to 8 bits as NumPy does, half to even", () => {
  const values = [0, 1, 0.5, 2.5 / 255, 3.5 / 255, 0.001];
  const [image] = toImages(floatTensor([1, 1, 2, 3], Float32Array.from(values)));
  expect(image).toMatchObject({ width: 2, height: 1 });
  expect([...image!.data]).toEqual([0, 255, 128, 2, 4, 0]);
});

it("gives one picture a frame", () => {
  const images = toImages(floatTensor([3, 1, 1, 3], Float32Array.of(0, 0, 0, 0.2, 0.2, 0.2, 1, 1, 1)));
  expect(images.map(({ data }) => data[0])).toEqual([0, 51, 255]);
});
