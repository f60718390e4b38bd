/** How are measurements shown: on the terminal and in docs/benchmarks.md? */
import { readFile, writeFile } from "node:fs/promises";
import { cpus, loadavg, totalmem, type } from "node:os";
import { type Measurement, median } from "./measurement.ts";

/** One table with what belongs to it, under a heading. */
export interface Section {
  readonly title: string;
  readonly text: string;
}

const introduction = `# Benchmarks

Each table was written by the bench itself (bench/README.md): both sides in turn, in fresh processes, on the same weights
and inputs, and only after their results agreed.
`;

/** Puts the section in place of the one with its title, or behind the others. */
export async function writeSection(file: string, { title, text }: Section): Promise<void> {
  const existing = await readFile(file, "utf8").catch(() => introduction);
  const [head, ...sections] = existing.split(/^## /m) as [string, ...string[]];
  const section = `${title}\n\n${text}`;
  const index = sections.findIndex((each) => each.startsWith(`${title}\n`));
  if (index >= 0) sections[index] = section;
  else sections.push(section);
  await writeFile(file, [head, ...sections].map((each) => `${each.trimEnd()}\n`).join("\n## "));
}

export function contestTable(names: readonly string[], measurements: readonly (readonly Measurement[])[]): string {
  const header = ["side", "load, median", "step, median", "step, minimum", "processor time, minimum", "peak memory"];
  const rows = names.map((name, index) => {
    const all = measurements[index]!;
    const steps = all.flatMap(({ stepSeconds }) => stepSeconds);
    return [
      name,
      seconds(median(all.map(({ loadSeconds }) => loadSeconds))),
      seconds(median(steps)),
      seconds(Math.min(...steps)),
      seconds(Math.min(...all.flatMap(({ stepCpuSeconds }) => stepCpuSeconds))),
      gigabytes(Math.max(...all.map(({ peakBytes }) => peakBytes))),
    ];
  });
  return markdownTable([header, ...rows]);
}

/** Columns aligned, as the formatter wants them. */
function markdownTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  const [header, ...body] = rows.map(line) as [string, ...string[]];
  return [header, line(widths.map((width) => "-".repeat(width))), ...body].join("\n");
}

/** How many times as long the first side takes. */
export function ratio(
  theirs: readonly Measurement[],
  ours: readonly Measurement[],
  times: (measurement: Measurement) => readonly number[],
): { median: string; minimum: string } {
  const of = (statistic: (values: number[]) => number) =>
    (statistic(theirs.flatMap(times)) / statistic(ours.flatMap(times))).toFixed(2);
  return { median: of(median), minimum: of((values) => Math.min(...values)) };
}

/** With the load average of the last quarter of an hour: well above the threads in use, other work disturbed the times. */
export function machine(): string {
  const [first, ...others] = cpus();
  const load = `load average ${loadavg()[2]!.toFixed(1)}`;
  return `${first?.model.trim()}, ${others.length + 1} processors, ${gigabytes(totalmem())}, ${type()}, ${load}`;
}

export function seconds(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} s`;
}

export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
