import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { exportToVideo } from "../../../src/node/video/export.ts";
import { readClipMetadata } from "../../../src/node/video/read-metadata.ts";
import { floatTensor } from "../../../src/tensor.ts";
import { clipFormats } from "../../../src/video/clip.ts";
import { encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import { expectError, temporaryFolder, testClip } from "../../video/test-clip.ts";

describe("readClipMetadata", () => {
  it("says that a clip holds no settings of ours", async () => {
    const folder = await temporaryFolder();
    const [frame] = testClip({ frames: 1 });
    const picture = sharp(frame!.data, { raw: { width: 64, height: 48, channels: 3 } });
    for (const format of ["png", "gif", "webp"] as const) {
      const path = join(folder, `other.${format}`);
      await picture.toFormat(format).toFile(path);
      expect(await readClipMetadata(path)).toMatchObject({
        format,
        width: 64,
        height: 48,
        frames: 1,
        settings: undefined,
      });
    }
    const tensors = join(folder, "other.safetensors");
    await writeFile(tensors, encodeSafetensors({ frames: floatTensor([3, 8, 16, 3]) }));
    expect(await readClipMetadata(tensors)).toEqual({
      format: "safetensors",
      width: 16,
      height: 8,
      frames: 3,
      fps: undefined,
      settings: undefined,
    });
  });

  it("goes by the clip's own time when it was changed after writing", async () => {
    const path = join(await temporaryFolder(), "clip.webp");
    await exportToVideo(testClip(), path, { fps: 10, metadata: { seed: 1 } });
    const faster = await sharp(await readFile(path), { animated: true })
      .keepXmp()
      .webp({ delay: 50 })
      .toBuffer();
    await writeFile(path, faster);
    expect(await readClipMetadata(path)).toMatchObject({ fps: 20, settings: { seed: 1 } });
  });

  it("goes by the content, not by the name", async () => {
    const folder = await temporaryFolder();
    await exportToVideo(testClip(), join(folder, "clip.mp4"), { format: "gif" });
    expect((await readClipMetadata(join(folder, "clip.mp4"))).format).toBe("gif");
  });

  it("names what is no clip", async () => {
    const folder = await temporaryFolder();
    const path = join(folder, "notes.mp4");
    await expectError(() => readClipMetadata(path), "output", /notes\.mp4: no such file/);
    await writeFile(path, "some notes, no clip");
    await expectError(
      () => readClipMetadata(path),
      "output",
      /is no clip; expected MP4, GIF, WebP, PNG or safetensors/,
    );
    await writeFile(path, "");
    await expectError(() => readClipMetadata(path), "output", /is no clip/);
    await expectError(() => readClipMetadata(folder), "output", /is a folder, not a clip/);
    const weights = join(folder, "weights.safetensors");
    await writeFile(weights, encodeSafetensors({ weight: floatTensor([2]) }));
    await expectError(() => readClipMetadata(weights), "output", /no tensor frames of shape/);
  });

  it.each(clipFormats)("ends with an error or an answer for a %s cut anywhere", async (format) => {
    const folder = await temporaryFolder();
    const [path] = await exportToVideo(testClip({ frames: 2 }), join(folder, `clip.${format}`));
    const whole = await readFile(path!);
    const head = Math.min(whole.length, 2000);
    for (let length = 0; length < whole.length; length += length < head ? 61 : Math.ceil(whole.length / 10)) {
      await writeFile(path!, whole.subarray(0, length));
      const outcome = await readClipMetadata(path!).then(
        () => "answer",
        (error) => error.code,
      );
      expect(["answer", "output"]).toContain(outcome);
    }
  });
});
