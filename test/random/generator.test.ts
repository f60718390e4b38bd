import { expect, test } from "vitest";
import { createGenerator, randomSeed } from "../../src/random/generator.ts";

function stream(seed: number | bigint): number[] {
  const { nextUint32 } = createGenerator(seed);
  return Array.from({ length: 8 }, nextUint32);
}

test("the low 32 bits of a seed decide, as in torch", () => {
  expect(stream(2 ** 40 + 7)).toEqual(stream(7));
  expect(stream(2n ** 40n + 7n)).toEqual(stream(7n));
  expect(stream(-1)).toEqual(stream(2n ** 64n - 1n));
  expect(stream(-(2n ** 63n))).toEqual(stream(0));
  expect(stream(7)).not.toEqual(stream(8));
});

test.each([
  [1.5, "seed: got 1.5, expected a whole number that a JavaScript number holds exactly; round it"],
  [Number.NaN, "seed: got NaN"],
  [2 ** 60, "write it as a bigint: 1152921504606846976n"],
  [2n ** 64n, "seed: got 18446744073709551616, expected -2^63..2^64-1"],
  [-(2n ** 63n) - 1n, "expected -2^63..2^64-1"],
  ["42", "seed: got string, expected a whole number or a bigint"],
])("a seed of %s is refused", (seed, message) => {
  expect(() => createGenerator(seed as number)).toThrow(
    expect.objectContaining({ code: "invalid-option", message: expect.stringContaining(message) }),
  );
});

test("random seeds are whole numbers of 32 bits and differ", () => {
  const seeds = Array.from({ length: 64 }, randomSeed);
  expect(new Set(seeds).size).toBeGreaterThan(60);
  for (const seed of seeds) expect(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32).toBe(true);
  expect(Math.max(...seeds)).toBeGreaterThan(2 ** 31);
});
