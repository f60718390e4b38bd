/** How is docs/benchmarks.md kept: one section a table, the newest of each? */
import { readFile, writeFile } from "node:fs/promises";

/** One table with what belongs to it, under a heading. */
export interface Section {
  readonly title: string;
  readonly text: string;
}

const introduction = `# Benchmarks

Each table was written by the bench itself (bench/README.md): all sides in turn, in fresh processes, on the same weights
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

/** Columns aligned, as the formatter wants them; the first row is the header. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  const [header, ...body] = rows.map(line) as [string, ...string[]];
  return [header, line(widths.map((width) => "-".repeat(width))), ...body].join("\n");
}

export function seconds(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} s`;
}
