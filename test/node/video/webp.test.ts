import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { encodeWebp } from "../../../src/node/video/webp.ts";
import { expectError, expectPsnr, plainClip, stacked, testClip } from "../../video/test-clip.ts";

describe("encodeWebp", () => {
  it.each([
    [64, 48],
    [63, 47],
  ])("shows the source's pictures at %dx%d, forever, as long as the rate says", async (width, height) => {
    const clip = testClip({ width, height, frames: 7 });
    const webp = await encodeWebp(clip, { fps: 7 });
    const found = await sharp(webp, { animated: true }).metadata();
    expect(found).toMatchObject({ format: "webp", pages: 7, pageHeight: height, width, loop: 0 });
    expect(found.delay).toEqual([143, 143, 143, 142, 143, 143, 143]);
    expectPsnr(await sharp(webp, { animated: true }).removeAlpha().raw().toBuffer(), stacked(clip), 38);
  });

  it("keeps frames that equal the one before", async () => {
    const webp = await encodeWebp(plainClip([200, 30, 90], { frames: 4 }), { fps: 10 });
    const { pages, delay } = await sharp(webp, { animated: true }).metadata();
    expect(pages).toBe(4);
    expect(delay).toEqual([100, 100, 100, 100]);
  });

  it("gives the same bytes for the same frames, fewer for lower quality", async () => {
    const clip = testClip();
    const webp = Buffer.from(await encodeWebp(clip));
    expect(webp.equals(await encodeWebp(clip))).toBe(true);
    expect((await encodeWebp(clip, { quality: 30 })).length).toBeLessThan(webp.length);
  });

  it("says its own size in the RIFF header", async () => {
    const webp = await encodeWebp(testClip(), { metadata: { odd: "x" } });
    expect(new DataView(webp.buffer, webp.byteOffset).getUint32(4, true)).toBe(webp.length - 8);
  });

  it.each([
    ["more than 90 frames a second", testClip(), { fps: 91 }, /expected 0\.001 to 90 for \.webp; browsers slow/],
    ["a side beyond WebP", plainClip([0, 0, 0], { width: 16384, height: 1 }), {}, /no side above 16383 for WebP/],
    ["a quality of 101", testClip(), { quality: 101 }, /quality: got 101/],
    ["no frames", [], {}, /empty list/],
  ])("refuses %s", async (_, frames, options, message) => {
    await expectError(() => encodeWebp(frames, options), "invalid-option", message);
  });

  it("stops when the signal has fired", async () => {
    await expectError(() => encodeWebp(testClip(), { signal: AbortSignal.abort() }), "aborted", /aborted/);
  });
});
