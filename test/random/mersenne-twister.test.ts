import { expect, test } from "vitest";
import { mersenneTwister } from "../../src/random/mersenne-twister.ts";

test("the stream is that of the C++ standard's mt19937: value 10 000 from seed 5489", () => {
  const next = mersenneTwister(5489);
  expect(next()).toBe(3499211612);
  let last = 0;
  for (let i = 1; i < 10_000; i++) last = next();
  expect(last).toBe(4123659995);
});

test("two streams do not disturb each other", () => {
  const alone = mersenneTwister(7);
  const expected = Array.from({ length: 1000 }, alone);
  const [a, b] = [mersenneTwister(7), mersenneTwister(8)];
  const mixed = Array.from({ length: 1000 }, () => {
    b();
    return a();
  });
  expect(mixed).toEqual(expected);
});
