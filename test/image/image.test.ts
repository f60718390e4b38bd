import { expect, test } from "vitest";
import { createImage } from "../../src/image/image.ts";

test("an image over given bytes keeps them without a copy", () => {
  const data = new Uint8Array(2 * 3 * 3);
  expect(createImage(3, 2, data)).toEqual({ width: 3, height: 2, data });
  expect(createImage(3, 2, data).data).toBe(data);
});

test.each([
  [3, 2, new Uint8Array(3 * 2 * 4), "got a Uint8Array of 24 bytes, expected a Uint8Array of 3x2x3 = 18 bytes"],
  [3, 2, new Float32Array(18), "got a Float32Array of 72 bytes"],
  [3, 2, undefined, "got undefined"],
  [0, 2, new Uint8Array(), "got size 0x2"],
  [1.5, 2, new Uint8Array(9), "got size 1.5x2"],
])("%s x %s with other bytes is refused", (width, height, data, message) => {
  expect(() => createImage(width, height, data as Uint8Array)).toThrow(
    expect.objectContaining({ code: "invalid-image", message: expect.stringContaining(message) }),
  );
});
