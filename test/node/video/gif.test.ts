import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { encodeGif, readGifComments } from "../../../src/node/video/gif.ts";
import { expectError, expectPsnr, plainClip, stacked, testClip } from "../../video/test-clip.ts";

describe("encodeGif", () => {
  it("shows the source's pictures, forever, as long as the rate says", async () => {
    const clip = testClip({ frames: 8 });
    const gif = await encodeGif(clip, { fps: 7 });
    const { pages, pageHeight, width, loop, delay } = await sharp(gif, { animated: true }).metadata();
    expect({ pages, pageHeight, width, loop }).toEqual({ pages: 8, pageHeight: 48, width: 64, loop: 0 });
    expect(delay).toEqual([140, 150, 140, 140, 140, 150, 140, 140]);
    expectPsnr(await sharp(gif, { animated: true }).removeAlpha().raw().toBuffer(), stacked(clip), 33);
  });

  it("keeps frames that equal the one before, and a single frame", async () => {
    for (const frames of [4, 1]) {
      const gif = await encodeGif(plainClip([200, 30, 90], { frames }), { fps: 10 });
      const { pages, delay } = await sharp(gif, { animated: true }).metadata();
      expect(pages).toBe(frames);
      expect(delay).toEqual(Array(frames).fill(100));
    }
  });

  it("gives the same bytes for the same frames", async () => {
    const clip = testClip({ width: 33, height: 21 });
    expect(Buffer.from(await encodeGif(clip)).equals(await encodeGif(clip))).toBe(true);
  });

  it("holds a comment longer than one block", async () => {
    const prompt = "a rocket ".repeat(60);
    const [comment, ...more] = readGifComments(await encodeGif(testClip(), { metadata: { prompt } }));
    expect(JSON.parse(comment!).stillmotion.prompt).toBe(prompt);
    expect(more).toEqual([]);
  });

  it("stops waiting when the signal fires", async () => {
    const controller = new AbortController();
    const coding = encodeGif(testClip({ width: 256, height: 256 }), { signal: controller.signal });
    controller.abort();
    await expectError(() => coding, "aborted", /aborted/);
  });

  it.each([
    ["more than 50 frames a second", testClip(), { fps: 51 }, /expected 0\.01 to 50 for \.gif; .*write an \.mp4/],
    [
      "a side beyond GIF",
      plainClip([0, 0, 0], { width: 65536, height: 1 }),
      {},
      /65536x1, expected no side above 65535/,
    ],
    ["no frames", [], {}, /empty list/],
  ])("refuses %s", async (_, frames, options, message) => {
    await expectError(() => encodeGif(frames, options), "invalid-option", message);
  });
});

describe("readGifComments", () => {
  it("ends on damaged files", async () => {
    const gif = await encodeGif(testClip({ frames: 2 }));
    expect(readGifComments(gif.subarray(0, gif.length / 2))).toEqual([]);
    expect(readGifComments(new Uint8Array(0))).toEqual([]);
    expect(readGifComments(new Uint8Array(100).fill(255))).toEqual([]);
  });
});
