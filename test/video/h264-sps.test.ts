import { describe, expect, it } from "vitest";
import { describeStream, fitsH264, h264Level } from "../../src/video/h264-sps.ts";
import { expectError } from "./test-clip.ts";

// A configuration as minih264 makes it for 64x48: baseline, level 1, no VUI; then the picture parameter set.
const sps = [0x67, 0x42, 0x00, 0x0a, 0xd3, 0x41, 0x0f, 0x20];
const pps = [0x68, 0xce, 0x38, 0x80];
const record = (set: number[]) =>
  Uint8Array.from([1, 0x42, 0, 0x0a, 0xff, 0xe1, 0, set.length, ...set, 1, 0, 4, ...pps]);

describe("describeStream", () => {
  it("writes constrained baseline, the level and a VUI, and keeps the rest", () => {
    const described = describeStream(record(sps), 31);
    const size = described[7]!;
    expect([...described.subarray(0, 6)]).toEqual([1, 0x42, 0xc0, 31, 0xff, 0xe1]);
    expect([...described.subarray(8, 12)]).toEqual([0x67, 0x42, 0xc0, 31]);
    expect([...described.subarray(12, 15)]).toEqual(sps.slice(4, 7));
    expect([...described.subarray(8 + size)]).toEqual([1, 0, 4, ...pps]);
  });

  it("refuses another profile, two parameter sets and an SPS that ends otherwise", async () => {
    const high = record([0x67, 100, ...sps.slice(2)]);
    await expectError(() => describeStream(high, 31), "internal", /profile 100, expected 66/);
    const two = record(sps).with(5, 0xe2);
    await expectError(() => describeStream(two, 31), "internal", /wrote 2 sequence parameter sets, expected 1/);
    const other = record([...sps.slice(0, 7), 0x60]);
    await expectError(() => describeStream(other, 31), "internal", /ends otherwise than without VUI/);
  });
});

describe("h264Level", () => {
  it.each([
    [64, 48, 7, 50_000, 10],
    [1024, 576, 7, 3_000_000, 31],
    [1024, 576, 60, 3_000_000, 32],
    [1024, 576, 7, 18_000_000, 32],
    [1920, 1088, 30, 10_000_000, 40],
    [3840, 2160, 30, 50_000_000, 51],
    [3840, 2160, 1000, 50_000_000, 52],
  ])("%dx%d at %d fps and %d bit/s is level_idc %d", (width, height, fps, bitsPerSecond, level) => {
    expect(h264Level({ width, height, fps, bitsPerSecond })).toBe(level);
  });

  it("knows the largest pictures", () => {
    expect(fitsH264(4096, 2304)).toBe(true);
    expect(fitsH264(8688, 16)).toBe(true);
    expect(fitsH264(4096, 2320)).toBe(false);
    expect(fitsH264(8704, 16)).toBe(false);
  });
});
