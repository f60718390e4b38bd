import { describe, expect, it } from "vitest";
import { rgbToYuv } from "../../src/video/yuv.ts";
import { plainClip, testClip } from "./test-clip.ts";

describe("rgbToYuv", () => {
  // ITU-R BT.709-6: the 8-bit code values of the primaries and their mixtures in limited range.
  it.each([
    ["black", [0, 0, 0], [16, 128, 128]],
    ["white", [255, 255, 255], [235, 128, 128]],
    ["red", [255, 0, 0], [63, 102, 240]],
    ["green", [0, 255, 0], [173, 42, 26]],
    ["blue", [0, 0, 255], [32, 240, 118]],
  ] as const)("gives %s its BT.709 code values", (_, rgb, [y, cb, cr]) => {
    const { data } = rgbToYuv(plainClip(rgb, { width: 4, height: 4 })[0]!);
    expect([...data]).toEqual([...Array(16).fill(y), ...Array(4).fill(cb), ...Array(4).fill(cr)]);
  });

  it("takes the mean colour of four pixels and the luma of each", () => {
    const [red, blue] = [
      [255, 0, 0],
      [0, 0, 255],
    ] as const;
    const { data } = rgbToYuv({ width: 2, height: 2, data: Uint8Array.from([...red, ...blue, ...blue, ...red]) });
    expect([...data]).toEqual([63, 32, 32, 63, 171, 179]);
  });

  it("repeats the last column and row of odd sizes", () => {
    const odd = testClip({ width: 3, height: 5 })[0]!;
    const { width, height, data } = rgbToYuv(odd);
    expect([width, height, data.length]).toEqual([4, 6, 36]);
    for (let row = 0; row < 6; row += 1) expect(data[row * 4 + 3]).toBe(data[row * 4 + 2]);
    expect(data.subarray(20, 24)).toEqual(data.subarray(16, 20));
  });
});
