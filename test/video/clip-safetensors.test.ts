import { describe, expect, it } from "vitest";
import { floatTensor } from "../../src/tensor.ts";
import { encodeClipSafetensors } from "../../src/video/clip-safetensors.ts";
import { decodeSafetensors } from "../../src/weights/safetensors/safetensors.ts";
import { expectError, testClip } from "./test-clip.ts";

const frames = testClip({ width: 16, height: 8, frames: 2 });

describe("encodeClipSafetensors", () => {
  it("writes the 8-bit frames as numbers from 0 to 1", () => {
    const { tensors } = decodeSafetensors(encodeClipSafetensors({ frames }), "clip");
    expect(Object.keys(tensors)).toEqual(["frames"]);
    expect(tensors.frames).toMatchObject({ dtype: "float32", shape: [2, 8, 16, 3] });
    const values = [...(tensors.frames!.data as Float32Array)];
    expect(values.map((value) => Math.round(value * 255))).toEqual(frames.flatMap(({ data }) => [...data]));
    expect(Math.max(...values)).toBeLessThanOrEqual(1);
  });

  it("writes float frames and latents as they are, with the settings", () => {
    const floatFrames = floatTensor(
      [2, 8, 16, 3],
      Float32Array.from({ length: 768 }, (_, index) => index / 1000),
    );
    const latents = floatTensor(
      [1, 2, 4, 1, 2],
      Float32Array.from({ length: 16 }, (_, index) => index - 7.5),
    );
    const bytes = encodeClipSafetensors({ frames, floatFrames, latents }, { fps: 6, metadata: { seed: 9 } });
    const { tensors, metadata } = decodeSafetensors(bytes, "clip");
    expect(tensors.frames!.data).toEqual(floatFrames.data);
    expect(tensors.latents).toEqual(latents);
    expect(JSON.parse(metadata.comment!)).toEqual({ stillmotion: { seed: 9 }, fps: 6, frames: 2 });
  });

  it.each([
    [
      "float frames",
      { floatFrames: floatTensor([2, 16, 8, 3]) },
      /floatFrames: shape is \[2, 16, 8, 3\], expected \[2, 8, 16, 3\]/,
    ],
    ["latents", { latents: floatTensor([2, 4, 1, 2]) }, /latents: shape is \[2, 4, 1, 2\], expected \[1, 2, 4, 1, 2\]/],
  ])("refuses %s of another shape", async (_, extra, message) => {
    await expectError(() => encodeClipSafetensors({ frames, ...extra }), "invalid-option", message);
  });
});
