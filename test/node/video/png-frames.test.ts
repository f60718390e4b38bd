import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { encodePngs, pngFrameNumber, pngFramePath } from "../../../src/node/video/png-frames.ts";
import { expectError, testClip } from "../../video/test-clip.ts";

describe("encodePngs", () => {
  it("keeps every pixel and the settings", async () => {
    const clip = testClip({ width: 31, height: 17 });
    const files = await encodePngs(clip, { metadata: { seed: 3 } });
    expect(files).toHaveLength(5);
    for (const [index, file] of files.entries()) {
      const { data, info } = await sharp(file, { failOn: "warning" }).raw().toBuffer({ resolveWithObject: true });
      expect([info.width, info.height, info.channels]).toEqual([31, 17, 3]);
      expect(data.equals(clip[index]!.data)).toBe(true);
      const { comments } = await sharp(file).metadata();
      expect(comments).toEqual([{ keyword: "Comment", text: '{"stillmotion":{"seed":3},"fps":7,"frames":5}' }]);
    }
  });

  it("stops when the signal has fired", async () => {
    await expectError(() => encodePngs(testClip(), { signal: AbortSignal.abort() }), "aborted", /aborted/);
  });
});

describe("pngFramePath", () => {
  it.each([
    ["clip.png", 1, "clip-0001.png"],
    ["clip.PNG", 12, "clip-0012.PNG"],
    ["a.b/clip.png", 12345, "a.b/clip-12345.png"],
    ["clip-%04d.png", 7, "clip-0007.png"],
    ["%d.png", 7, "7.png"],
    ["50%/%02d-x.png", 123, "50%/123-x.png"],
    ["%d/clip.png", 1, "%d/clip-0001.png"],
  ])("%s, number %d, is %s", (path, number, expected) => {
    expect(pngFramePath(path, number)).toBe(join(expected));
  });
});

describe("pngFrameNumber", () => {
  it.each([
    ["clip.png", "clip-0001.png", 1],
    ["a/clip.PNG", "clip-12345.PNG", 12345],
    ["%d.png", "7.png", 7],
    ["f%03dx%d.png", "f012x%d.png", 12],
    ["clip.png", "clip-0000.png", undefined],
    ["clip.png", "clip-001.png", undefined],
    ["clip.png", "clip-00001.png", undefined],
    ["clip.png", "clip-.png", undefined],
    ["clip.png", "clip-0x01.png", undefined],
    ["clip.png", "clip-0001.PNG", undefined],
    ["clip.png", "clip-1-0001.png", undefined],
    ["aa%da.png", "aa.png", undefined],
    ["%d.png", "07.png", undefined],
  ])("of %s, the file %s, is %s", (path, name, expected) => {
    expect(pngFrameNumber(path, name)).toBe(expected);
  });
});
