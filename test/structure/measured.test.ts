/** Do tests that depend on time or on the process's memory stand in their folder, and is none tried again until it passes? */
import { expect, it } from "vitest";
import { readSources, withoutComments } from "./sources.ts";

const measures = /performance\.now|hrtime|cpuUsage|memoryUsage|resourceUsage|VmHWM|VmRSS|maxRSS/;

/** These ask for no less than a time or a size, which a busy machine gives as well. */
const atLeast = ["node/hub/resolve-model.misbehaviour.test.ts", "estimate/plan.test.ts"];

const tests = Object.entries(readSources("test")).map(([file, code]) => [file, withoutComments(code)] as const);
const outside = tests.filter(([file]) => !file.startsWith("measured/") && !file.startsWith("structure/"));

it("finds the tests", () => expect(tests.filter(([, code]) => measures.test(code)).length).toBeGreaterThan(5));

it("measure nothing outside of test/measured", () => {
  const measuring = outside.filter(([, code]) => measures.test(code)).map(([file]) => file);
  expect(measuring.filter((file) => !atLeast.includes(file))).toEqual([]);
});

it("are not tried again", () => {
  const retried = tests.filter(([, code]) => /\bretry:|\.retry\(/.test(code)).map(([file]) => file);
  expect(retried.filter((file) => !file.startsWith("structure/"))).toEqual([]);
});
