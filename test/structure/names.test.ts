/**
 * Does a test stand where a reader looks for it? `test/a/b.test.ts` tests `src/a/b.ts` or the folder `src/a/b`, and
 * `test/a/b.topic.test.ts` one topic of it. Tests of `bench` have their sources there.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { project, readSources } from "./sources.ts";

/** Here a test holds what many files do together: a command, a whole run, an example, a measurement, the code as a text. */
const ofBehaviour = ["cli/", "pipeline/", "examples/", "measured/", "structure/"];

/** The path that a test's name stands for, without `src`. */
const subjectOf = (file: string) => file.replace(/(\.[^/.]+)?\.test\.ts$/, "");

function isWhereItBelongs(file: string): boolean {
  const subject = subjectOf(file);
  const places = [`src/${subject}.ts`, `src/${subject}`, `${subject}.ts`];
  return (
    ofBehaviour.some((folder) => file.startsWith(folder)) || places.some((place) => existsSync(join(project, place)))
  );
}

it("each test has a source of its name", () => {
  const tests = Object.keys(readSources("test")).filter((file) => file.endsWith(".test.ts"));
  expect(tests.length).toBeGreaterThan(100);
  expect(tests.filter((file) => !isWhereItBelongs(file))).toEqual([]);
});

it.each([
  ["nn/feed-forward.test.ts", true],
  ["schedulers/samplers.topic.test.ts", true],
  ["models/blocks.test.ts", true],
  ["bench/report.test.ts", true],
  ["cli/anything.test.ts", true],
  ["nn/feed-backward.test.ts", false],
  ["feed-forward.test.ts", false],
])("%s: %s", (file, belongs) => expect(isWhereItBelongs(file)).toBe(belongs));
