/** Is what is not finite found, wherever it lies, and nothing else? */
import { describe, expect, it } from "vitest";
import { areFinite, lookAtStored } from "../src/finite.ts";
import { float32ToBfloat16, float32ToFloat16 } from "../src/half.ts";
import type { DataType, TensorData } from "../src/tensor.ts";

const largest = 3.4e38;

describe("numbers of a run", () => {
  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])("are not finite with one that is not, at %d", (index) => {
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const values = new Float32Array(10).fill(1);
      values[index] = wrong;
      expect(areFinite(values)).toBe(false);
    }
  });

  it("are not finite where infinities of both signs meet", () => {
    expect(areFinite(Float32Array.of(Number.POSITIVE_INFINITY, 1, 2, 3, Number.NEGATIVE_INFINITY))).toBe(false);
  });

  it("are finite however large they are", () => {
    expect(areFinite(new Float32Array(100_003).fill(largest))).toBe(true);
    expect(areFinite(new Float32Array())).toBe(true);
  });
});

describe("stored numbers", () => {
  const values = Float32Array.of(1, -2, 0, Number.NaN, 4, Number.NEGATIVE_INFINITY);
  it.each<[DataType, TensorData]>([
    ["float32", values],
    ["float16", float32ToFloat16(values)],
    ["bfloat16", float32ToBfloat16(values)],
    ["float8_e5m2", Uint8Array.of(0x3c, 0xc0, 0, 0xfe, 0x44, 0xfc)],
  ])("in %s are counted that are not finite", (dtype, { buffer }) => {
    expect(lookAtStored(dtype, new Uint8Array(buffer))).toMatchObject({ count: 6, nan: 1, infinite: 1, first: 3 });
  });

  it("in float8_e4m3fn are only NaN, and only with all bits set", () => {
    const look = lookAtStored("float8_e4m3fn", Uint8Array.of(0x7e, 0xfe, 0x78, 0x7f, 0xff));
    expect(look).toMatchObject({ nan: 2, infinite: 0, first: 3 });
    expect(lookAtStored("float8_e4m3fn", Uint8Array.of(0x7e, 0xfe, 0x78)).first).toBeUndefined();
  });

  it("tell their largest magnitude, and where all are 0", () => {
    expect(lookAtStored("float16", new Uint8Array(float32ToFloat16(Float32Array.of(1, -2)).buffer)).largestBits).toBe(
      float32ToFloat16(Float32Array.of(2))[0],
    );
    expect(lookAtStored("float32", new Uint8Array(Float32Array.of(0, -0).buffer)).largestBits).toBe(0);
  });
});
