import { describe, expect, it } from "vitest";
import { checkedFps, frameDurations } from "../../src/video/frame-rate.ts";
import { expectError } from "./test-clip.ts";

describe("checkedFps", () => {
  it("takes what lies within the limits, and 7 for none", () => {
    expect(checkedFps(undefined, "gif")).toBe(7);
    expect(checkedFps(23.976, "gif")).toBe(23.976);
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, "7" as unknown as number])("refuses %s", async (fps) => {
    await expectError(() => checkedFps(fps, "gif"), "invalid-option", /^fps: got .*, expected a number above 0/);
  });

  it.each([
    [1001, "mp4", /expected 0\.001 to 1000 for \.mp4; choose a rate/],
    [51, "gif", /expected 0\.01 to 50 for \.gif; GIF counts time in 1\/100 s; write an \.mp4/],
    [0.0001, "webp", /expected 0\.001 to 90 for \.webp; browsers slow/],
  ] as const)("refuses %d for %s, saying what the format can do", async (fps, format, message) => {
    await expectError(() => checkedFps(fps, format), "invalid-option", message);
    expect(checkedFps(fps, "png")).toBe(fps);
  });
});

describe("frameDurations", () => {
  it.each([
    [14, 7, 100, 200],
    [25, 23.976, 1000, 1043],
    [3, 50, 100, 6],
    [1, 0.01, 100, 10000],
  ])("%d frames at %d fps, counted in 1/%d s, last %d together", (frames, fps, units, total) => {
    const durations = frameDurations(frames, fps, units);
    expect(durations).toHaveLength(frames);
    expect(durations.reduce((sum, duration) => sum + duration)).toBe(total);
    expect(Math.max(...durations) - Math.min(...durations)).toBeLessThanOrEqual(1);
  });
});
