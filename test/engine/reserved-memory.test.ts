/** What may runs under way still take? */
import { expect, it } from "vitest";
import { createReservedMemory } from "../../src/engine/reserved-memory.ts";

it("is what they were granted, less what the process has grown by since the first of them", () => {
  let resident = 100;
  const memory = createReservedMemory(() => resident);
  expect(memory.promisedBytes()).toBe(0);
  const endFirst = memory.reserve(50);
  resident = 130;
  expect(memory.promisedBytes()).toBe(20);
  const endSecond = memory.reserve(40);
  expect(memory.promisedBytes()).toBe(60);
  resident = 300;
  expect(memory.promisedBytes()).toBe(0);
  endFirst();
  endFirst();
  resident = 90;
  expect(memory.promisedBytes()).toBe(40);
  endSecond();
  expect(memory.promisedBytes()).toBe(0);
});
