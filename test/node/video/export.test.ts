import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkOutput, exportToVideo } from "../../../src/node/video/export.ts";
import { readClipMetadata } from "../../../src/node/video/read-metadata.ts";
import { floatTensor } from "../../../src/tensor.ts";
import type { ClipFormat } from "../../../src/video/clip.ts";
import { expectError, temporaryFolder, testClip } from "../../video/test-clip.ts";

const metadata = { seed: 2n ** 40n + 7n, numInferenceSteps: 25, model: "svd-xt ü", sigmas: [700, 0.5, 0], fit: null };
const stored = { ...metadata, seed: 2 ** 40 + 7 };

describe("exportToVideo", () => {
  it.each([
    ["clip.mp4", "mp4", 7],
    ["clip.MP4", "mp4", 23.976],
    ["clip.gif", "gif", 7],
    ["clip.webp", "webp", 23.976],
    ["clip.png", "png", 7],
    ["f%03d.png", "png", 12.5],
    ["clip.safetensors", "safetensors", 30000 / 1001],
  ])("writes %s, which says what it is and how it was made", async (name, format, fps) => {
    const path = join(await temporaryFolder(), name);
    await exportToVideo(testClip(), path, { fps, metadata });
    const found = await readClipMetadata(path);
    expect(found).toEqual({ format, width: 64, height: 48, frames: 5, fps, settings: stored });
  });

  it("gives the paths written, and nothing else is in the folder", async () => {
    const folder = await temporaryFolder();
    const written = await exportToVideo(testClip({ frames: 2 }), join(folder, "clip.png"));
    expect(written).toEqual([join(folder, "clip-0001.png"), join(folder, "clip-0002.png")]);
    expect((await readdir(folder)).sort()).toEqual(["clip-0001.png", "clip-0002.png"]);
    expect((await readClipMetadata(written[1]!)).frames).toBe(1);
  });

  it("takes a clip with float frames and latents", async () => {
    const folder = await temporaryFolder();
    const frames = testClip({ frames: 1 });
    const clip = { frames, floatFrames: floatTensor([1, 48, 64, 3]), latents: floatTensor([1, 1, 4, 6, 8]) };
    for (const name of ["clip.safetensors", "clip.mp4"]) await exportToVideo(clip, join(folder, name));
    expect((await readClipMetadata(join(folder, "clip.safetensors"))).settings).toEqual({});
  });

  it("follows a format given apart from the name", async () => {
    const path = join(await temporaryFolder(), "clip.bin");
    await exportToVideo(testClip(), path, { format: "webp" });
    expect((await readClipMetadata(path)).format).toBe("webp");
  });

  it("refuses unknown extensions and formats, listing the known", async () => {
    const folder = await temporaryFolder();
    const to = (name: string, format?: string) => () =>
      exportToVideo(testClip(), join(folder, name), format ? { format: format as ClipFormat } : {});
    await expectError(
      to("clip.avi"),
      "output",
      /extension \.avi, expected one of \.mp4, \.gif, \.webp, \.png, \.safetensors/,
    );
    await expectError(to("clip"), "output", /got no extension, expected one of/);
    await expectError(to("clip.mp4", "webm"), "invalid-option", /format: got webm, expected one of mp4, gif/);
  });

  it("refuses a path that names no file, and leaves nothing", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "old.gif"), "");
    for (const name of ["new.gif/", "old.gif/", "new.png/"]) {
      const write = () => exportToVideo(testClip(), `${folder}/${name}`);
      await expectError(write, "output", /(new|old)\.(gif|png)\/: names a folder, expected a file name/);
    }
    await expectError(() => exportToVideo(testClip(), ""), "output", /path is empty, expected one such as/);
    expect(await readdir(folder)).toEqual(["old.gif"]);
  });

  it("refuses more digits than a name may have", async () => {
    for (const digits of [999, 999_999_999_999]) {
      const path = join(await temporaryFolder(), `f%0${digits}d.png`);
      await expectError(() => checkOutput(path), "output", /the name is too long/);
    }
  });

  it("looks at the path before it looks at the frames", async () => {
    const path = join(await temporaryFolder(), "missing", "clip.mp4");
    await expectError(() => exportToVideo([], path), "output", /folder .*missing does not exist/);
    await expectError(() => checkOutput(path), "output", /folder .*missing does not exist/);
    await expectError(
      () => checkOutput("clip.gif", { fps: 60 }),
      "invalid-option",
      /fps: got 60, expected 0\.01 to 50/,
    );
  });

  it.each(["mp4", "gif", "webp", "png", "safetensors"] as const)(
    "leaves an old %s as it is on failure",
    async (format) => {
      const folder = await temporaryFolder();
      const path = join(folder, format === "png" ? "clip-0001.png" : `clip.${format}`);
      await writeFile(path, "old");
      const target = join(folder, `clip.${format}`);
      const mixed = [...testClip({ frames: 1 }), ...testClip({ frames: 1, width: 32 })];
      await expectError(() => exportToVideo(mixed, target), "invalid-option", /frames\[1\]: size is 32x48/);
      const aborted = { signal: AbortSignal.abort() };
      await expectError(() => exportToVideo(testClip(), target, aborted), "aborted", /aborted/);
      expect(await readdir(folder)).toEqual([path.slice(folder.length + 1)]);
    },
  );

  it.each(["gif", "png", "safetensors"])("refuses a quality for .%s", async (extension) => {
    const path = join(await temporaryFolder(), `clip.${extension}`);
    await expectError(
      () => exportToVideo(testClip(), path, { quality: 80 }),
      "invalid-option",
      /has no quality to choose/,
    );
  });
});
