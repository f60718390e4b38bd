import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { writeSection } from "../../bench/report.ts";

it("a section takes the place of the one with its title, and the others stay where they are", async () => {
  const folder = await mkdtemp(join(tmpdir(), "report-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "benchmarks.md");
  await writeSection(file, { title: "UNet step", text: "old\n" });
  await writeSection(file, { title: "UNet step, larger", text: "larger\n" });
  await writeSection(file, { title: "UNet step", text: "new\n\nsecond paragraph\n" });
  const text = await readFile(file, "utf8");
  expect(text).toMatch(/^# Benchmarks\n/);
  expect(text.slice(text.indexOf("## "))).toBe(
    "## UNet step\n\nnew\n\nsecond paragraph\n\n## UNet step, larger\n\nlarger\n",
  );
});
