import sharp from "sharp";
import { expect, test } from "vitest";
import { gifFirstFrame } from "../../src/image/gif-first-frame.ts";
import { loadImage } from "../../src/node/image/load-image.ts";

/** Two frames of 2x2 pixels after a comment; colour 0 is red and marked as transparent, colour 1 is blue. */
const twoFrames = Uint8Array.from([
  ...Buffer.from("GIF89a"),
  ...[2, 0, 2, 0, 0x80, 0, 0],
  ...[255, 0, 0, 0, 0, 255],
  ...[0x21, 0xfe, 3, ...Buffer.from("hey"), 0],
  ...frame([0x44, 0x02, 0x05]), // colours 0 1 1 0
  ...frame([0x0c, 0x10, 0x05]), // colours 1 0 0 1
  0x3b,
]);
const endOfFirstFrame = 13 + 6 + 7 + 8 + 16;

function frame(codes: number[]): number[] {
  const control = [0x21, 0xf9, 4, 0x01, 10, 0, 0, 0];
  return [...control, 0x2c, 0, 0, 0, 0, 2, 0, 2, 0, 0, 2, codes.length, ...codes, 0];
}

const [red, blue, black, white] = [
  [255, 0, 0],
  [0, 0, 255],
  [0, 0, 0],
  [255, 255, 255],
];
const pixelsOf = async (file: Uint8Array) => [...(await sharp(file).removeAlpha().raw().toBuffer())];

test("the first frame stands alone, with its palette's colours and beside it what is opaque", async () => {
  const still = gifFirstFrame(twoFrames);
  expect((await sharp(still.bytes).metadata()).pages).toBe(1);
  expect(await pixelsOf(twoFrames)).toEqual([black, blue, blue, black].flat());
  expect(await pixelsOf(still.bytes)).toEqual([red, blue, blue, red].flat());
  expect(await pixelsOf(still.opacity!)).toEqual([black, white, white, black].flat());
  expect(still.canvas).toEqual({ width: 2, height: 2, left: 0, top: 0, around: [255, 0, 0, 0] });
});

test("the caller's bytes stay as they are", () => {
  const before = twoFrames.slice();
  gifFirstFrame(twoFrames);
  expect(twoFrames).toEqual(before);
});

test("what follows the first frame does not matter, what is missing in it does", async () => {
  const whole = gifFirstFrame(twoFrames);
  for (let length = 13; length < twoFrames.length; length++) {
    const cut = twoFrames.subarray(0, length);
    if (length >= endOfFirstFrame) expect(gifFirstFrame(cut), `cut at ${length}`).toEqual(whole);
    else await expect(loadImage(cut), `cut at ${length}`).rejects.toMatchObject({ code: "invalid-image" });
  }
});
