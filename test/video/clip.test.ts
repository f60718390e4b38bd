import { describe, expect, it } from "vitest";
import { clipSize } from "../../src/video/clip.ts";
import { expectError, testClip } from "./test-clip.ts";

describe("clipSize", () => {
  it("gives the size that all frames share", () => {
    expect(clipSize(testClip({ width: 30, height: 20 }))).toEqual({ width: 30, height: 20 });
  });

  it("refuses no frames, two sizes and damaged frames", async () => {
    await expectError(() => clipSize([]), "invalid-option", /empty list, expected at least one frame/);
    const mixed = [...testClip({ width: 30 }), ...testClip({ width: 32 })];
    await expectError(() => clipSize(mixed), "invalid-option", /frames\[5\]: size is 32x48, expected 30x48/);
    const damaged = [{ width: 4, height: 4, data: new Uint8Array(47) }];
    await expectError(() => clipSize(damaged), "invalid-image", /47 bytes, expected .* 48 bytes/);
  });
});
