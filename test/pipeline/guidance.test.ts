import { expect, it } from "vitest";
import { guidanceScales, guide, isGuided, isWithin } from "../../src/pipeline/guidance.ts";

it("rises from the first frame's scale to the last one's", () => {
  expect([...guidanceScales(1, 3, 5)]).toEqual([1, 1.5, 2, 2.5, 3]);
  expect([...guidanceScales(1.5, 3, 1)]).toEqual([1.5]);
  expect([...guidanceScales(3, 1, 3)]).toEqual([3, 2, 1]);
});

it("has no effect where no scale is above 1", () => {
  expect(isGuided(guidanceScales(1, 1, 14))).toBe(false);
  expect(isGuided(guidanceScales(0, 1, 14))).toBe(false);
  expect(isGuided(guidanceScales(1, 3, 1))).toBe(false);
  expect(isGuided(guidanceScales(3, 1, 14))).toBe(true);
});

it("moves each frame by its own scale away from the unconditional half", () => {
  const conditional = Float32Array.of(2, 4, 2, 4);
  guide(conditional, Float32Array.of(1, 1, 1, 1), Float32Array.of(1, 3));
  expect([...conditional]).toEqual([2, 4, 4, 10]);
});

it("acts above the low level, up to and with the high one, and everywhere without an interval", () => {
  expect([0.5, 1, 1.5, 2, 2.5].filter((sigma) => isWithin([1, 2], sigma))).toEqual([1.5, 2]);
  expect(isWithin(undefined, 700)).toBe(true);
});
