/**
 * Are the numbers of the 8-bit formats those of torch?
 *
 * Golden: python -m reference.golden float8 (reference/golden/float8.py), diffusers 0.42.1
 */
import { expect, it } from "vitest";
import { floatsOf } from "../src/floats.ts";
import { readGolden } from "./support/golden.ts";

const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);

it.each(["float8_e4m3fn", "float8_e5m2"] as const)("all 256 of %s are", async (dtype) => {
  const golden = await readGolden("weights", "golden", "float8.safetensors");
  const values = floatsOf({ dtype, data: everyByte });
  // Bit for bit but for NaN, whose bits say nothing: -0 is not 0 here.
  expect(Array.from(values)).toEqual(Array.from(golden.tensor(`output.${dtype}.values`).data));
});

it("are whole numbers where the format has no fractions", () => {
  expect(floatsOf({ dtype: "int64", data: BigInt64Array.of(-3n, 5n) })).toEqual(Float32Array.of(-3, 5));
});
