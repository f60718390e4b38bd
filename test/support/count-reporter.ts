/**
 * How does a test run end? With one plain line: how many passed, failed and were skipped. Runs of one script that names a file in
 * TEST_COUNTS are counted together: the file holds the line of all so far.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";

export default class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string) => tests.filter((test) => test.result().state === state).length;
    const brokenModules = modules.filter((module) => module.errors().length > 0).length;
    const counts = {
      passed: count("passed"),
      failed: count("failed") + brokenModules + unhandledErrors.length,
      skipped: count("skipped"),
    };
    process.stdout.write(`\n${lineOf(counts)}\n`);
    const file = process.env.TEST_COUNTS;
    if (file) writeFileSync(file, `${lineOf(counts, existsSync(file) ? readFileSync(file, "utf8") : "")}\n`);
  }
}

/** `earlier` is such a line, whose counts are added. */
function lineOf(counts: Readonly<Record<"passed" | "failed" | "skipped", number>>, earlier = ""): string {
  const all = (state: keyof typeof counts) =>
    counts[state] + Number(new RegExp(`(\\d+) ${state}`).exec(earlier)?.[1] ?? 0);
  const skipped = all("skipped") > 0 ? `, ${all("skipped")} skipped` : "";
  return `${all("passed")} passed, ${all("failed")} failed${skipped}`;
}
