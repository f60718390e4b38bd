import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "../src/half.ts";

const allBits = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
const anyFloat = fc.oneof(
  fc.float(),
  fc.float({ min: -70_000, max: 70_000 }),
  fc.float({ min: Math.fround(-1e-4), max: Math.fround(1e-4) }),
);

/** Node 24's own half-precision array, an oracle that shares no code. */
declare const Float16Array: {
  new (source: ArrayLike<number> | ArrayBufferLike): ArrayLike<number> & { buffer: ArrayBuffer };
};

describe("float16", () => {
  test("each of the 65,536 values becomes the number it stands for", () => {
    const expected = new Float16Array(allBits.buffer);
    const got = float16ToFloat32(allBits);
    for (let bits = 0; bits < 65_536; bits++) {
      if (!Object.is(got[bits], expected[bits])) expect.fail(`bits ${bits}: ${got[bits]}, expected ${expected[bits]}`);
    }
  });

  test("each of them comes back", () => {
    const back = float32ToFloat16(float16ToFloat32(allBits));
    for (let bits = 0; bits < 65_536; bits++) {
      const isNaNBits = (bits & 0x7fff) > 0x7c00;
      if (isNaNBits ? (back[bits]! & 0x7fff) <= 0x7c00 : back[bits] !== bits)
        expect.fail(`bits ${bits}: ${back[bits]}`);
    }
  });

  test("float32 is rounded to the nearest, ties to even", () => {
    fc.assert(
      fc.property(fc.array(anyFloat), (values) => {
        const got = float16ToFloat32(float32ToFloat16(Float32Array.from(values)));
        expect([...got]).toEqual(Array.from(new Float16Array(values)));
      }),
      { numRuns: 2000 },
    );
    // Halfway between neighbours, and the ends of the range.
    const edges = Float32Array.of(
      2049,
      2051,
      65_504,
      65_519.996,
      65_520,
      2 ** -24,
      2 ** -25,
      2 ** -25 * 1.0001,
      6.1e-5,
    );
    expect([...float16ToFloat32(float32ToFloat16(edges))]).toEqual(Array.from(new Float16Array(edges)));
  });
});

describe("bfloat16", () => {
  test("each of the 65,536 values becomes the number it stands for, and comes back", () => {
    const values = bfloat16ToFloat32(allBits);
    expect(new Uint32Array(values.buffer)).toEqual(Uint32Array.from(allBits, (bits) => bits * 65_536));
    const back = float32ToBfloat16(values);
    for (let bits = 0; bits < 65_536; bits++) {
      const isNaNBits = (bits & 0x7fff) > 0x7f80;
      if (isNaNBits ? (back[bits]! & 0x7fff) <= 0x7f80 : back[bits] !== bits)
        expect.fail(`bits ${bits}: ${back[bits]}`);
    }
  });

  test("float32 is rounded to the nearest, ties to even", () => {
    // Neighbours at 1: 1, 1.0078125, 1.015625; torch.tensor([...]).to(torch.bfloat16) gives the same.
    const values = Float32Array.of(1.00390625, 1.00390637, 1.01171875, 1.0117186, -1.00390625, 3.4e38, 3.3961776e38);
    const expected = [1, 1.0078125, 1.015625, 1.0078125, -1, Infinity, Infinity];
    expect([...bfloat16ToFloat32(float32ToBfloat16(values))]).toEqual(expected);
  });

  test("no other value is nearer", () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: Math.fround(-3e38), max: Math.fround(3e38) }), (value) => {
        const bits = float32ToBfloat16(Float32Array.of(value))[0]!;
        const [below, got, above] = bfloat16ToFloat32(Uint16Array.of(bits - 1, bits, bits + 1));
        const error = Math.abs(got! - value);
        if ((bits & 0x7fff) !== 0) expect(error).toBeLessThanOrEqual(Math.abs(below! - value));
        expect(error).toBeLessThanOrEqual(Math.abs(above! - value));
      }),
      { numRuns: 2000 },
    );
  });
});

test("a result may be written into an array that is given, also in the middle of a buffer", () => {
  const output = new Float32Array(4).subarray(1, 3);
  expect(float16ToFloat32(Uint16Array.of(0x3c00, 0xc000), output)).toBe(output);
  expect([...output]).toEqual([1, -2]);
  expect([...bfloat16ToFloat32(Uint16Array.of(0x3f80, 0xc000), output)]).toEqual([1, -2]);
});
