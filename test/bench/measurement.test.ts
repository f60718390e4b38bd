import { expect, it } from "vitest";
import { median, relativeL2 } from "../../bench/measurement.ts";

it("the median of an even number of values is the mean of the middle two", () => {
  expect(median([5, 1, 3])).toBe(3);
  expect(median([10, 1, 2, 4])).toBe(3);
});

it("relative L2 is the length of the difference over that of what was expected", () => {
  expect(relativeL2([3, 4], [0, 5])).toBeCloseTo(Math.sqrt(9 + 1) / 5, 15);
  expect(relativeL2([1, Number.NaN], [1, 1])).toBeNaN();
  expect(() => relativeL2([1], [1, 2])).toThrow("1 and 2 values");
});
