/**
 * Does the reader read what the official one reads, and nothing else? Held against its answers, which are stored.
 *
 * Golden: python -m reference.golden hostile (reference/golden/hostile.py), safetensors 0.8.0
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { StillmotionError } from "../../../src/errors.ts";
import { parseSafetensorsHeader } from "../../../src/weights/safetensors/safetensors.ts";
import { hostileFiles } from "../../hostile/safetensors.ts";

const golden = join(import.meta.dirname, "../../hostile/golden");

/** What is refused here although the official reader reads it. */
const stricter = [
  /names the tensor .* twice$/,
  /^x: header: cannot be read at .*: __metadata__ has .* twice$/,
  /has the field .*, which the format does not have$/,
  /: expected "\{" but found "null/, // for metadata
  /: expected "\{" but found \[/, // an entry's fields as an array, in the order of their names
  /its header does not start with "\{"$/, // but with white space
  /more than \d+ (tensors|numbers in an array|texts in __metadata__)$/,
];

interface Official {
  /** Name, number format, shape and data in base64. */
  readonly tensors: readonly (readonly [string, string, readonly number[], string])[];
  readonly metadata: readonly (readonly [string, string])[];
}

/** The same of this reader; its message for a file that it refuses. */
function read(bytes: Buffer): Official | string {
  try {
    const { entries, metadata } = parseSafetensorsHeader(bytes, bytes.length, "x");
    const tensors = [...entries.values()].map(
      ({ name, dtype, shape, offset, sizeBytes }) =>
        [name, dtype, shape, bytes.toString("base64", offset, offset + sizeBytes)] as const,
    );
    return { tensors: byName(tensors), metadata: byName(Object.entries(metadata)) };
  } catch (error) {
    if (error instanceof StillmotionError) return error.message;
    throw error;
  }
}

/** In the order of their code points, which is Python's. */
function byName<Item extends readonly [string, ...unknown[]]>(items: readonly Item[]): Item[] {
  return items.toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function expectAgreement(bytes: Buffer, official: Official | null, where: string): void {
  const got = read(bytes);
  if (typeof got !== "string") expect(got, where).toEqual(official);
  else if (official !== null)
    expect(
      stricter.filter((reason) => reason.test(got)),
      `${where}: ${got}`,
    ).not.toEqual([]);
}

describe("of the files kept by name", async () => {
  const { official } = JSON.parse(await readFile(join(golden, "named.json"), "utf8"));

  test("each has its answer", () => {
    expect(Object.keys(official).sort()).toEqual(Object.keys(hostileFiles).sort());
  });

  test.each(Object.entries(hostileFiles))("%s", (name, { bytes }) => {
    const got = read(Buffer.from(bytes));
    expect(got).toBeTypeOf("string");
    if (official[name] === "reads") expect(stricter.filter((reason) => reason.test(got as string))).not.toEqual([]);
    else expect(official[name]).toBe("refuses");
  });
});

test("of thousands of mutated headers, the same are read to the same tensors", async () => {
  const lines = gunzipSync(await readFile(join(golden, "mutated.jsonl.gz")))
    .toString()
    .trimEnd()
    .split("\n")
    .slice(1);
  let read = 0;
  for (const [index, line] of lines.entries()) {
    const { bytes, official } = JSON.parse(line) as { bytes: string; official: Official | null };
    expectAgreement(Buffer.from(bytes, "base64"), official, `file ${index}`);
    if (official !== null) read++;
  }
  expect(lines.length).toBeGreaterThan(3500);
  expect(read).toBeGreaterThan(500);
});
