/** Does the reader of a hostile header hold more than four times the header's length, and a megabyte, at any time? */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { safetensorsFile } from "../hostile/safetensors.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stillmotion-memory-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function measured(bytes: Uint8Array, reads = 1) {
  const path = join(folder, "hostile.safetensors");
  await writeFile(path, bytes);
  const program = join(import.meta.dirname, "measure-reader.ts");
  const { stdout, stderr } = spawnSync(process.execPath, ["--expose-gc", program, path, String(reads)], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  return JSON.parse(stdout) as { heapBytes: number; processBytes: number; reads: number };
}

/** All different, and as short as can be. */
const alphabet = Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i)).filter((c) => !/["\\]/.test(c));
function shortName(index: number): string {
  const last = alphabet[index % alphabet.length]!;
  return index < alphabet.length ? last : shortName(Math.floor(index / alphabet.length) - 1) + last;
}

const listed = (count: number, member: (index: number) => string) => Array.from({ length: count }, (_, i) => member(i));
const tensors = (count: number, fields: (index: number) => string) =>
  listed(count, (index) => `"${shortName(index)}":{"dtype":"U8",${fields(index)}}`).join();
const empty = (axes: number) => () => `"shape":[${listed(axes, () => "0")}],"data_offsets":[0,0]`;
const texts = listed(2048, (index) => `"${shortName(index)}":"${shortName(index)}"`);
const most = 65_536;
/** The table of names has just grown: here the reader holds most for its input. */
const grown = 32_770;

describe("on the heap", () => {
  test.each([
    ["as many tensors as there may be", `{${tensors(most, empty(1))}}`],
    ["tensors for whose names a table has just grown", `{${tensors(grown, empty(1))}}`],
    ["the same and as many short texts as there may be", `{"__metadata__":{${texts}},${tensors(grown, empty(1))}}`],
    ["tensors of as many axes as there may be", `{${tensors(grown, empty(16))}}`],
    [
      "tensors out of order",
      `{${tensors(grown, (i) => `"shape":[1],"data_offsets":[${grown - i - 1},${grown - i}]`)}}`,
    ],
    [
      "offsets that need more than 32 bits",
      `{${tensors(grown, (i) => `"shape":[0],"data_offsets":[${9e9 - i},${9e9 - i}]`)}}`,
    ],
  ])("%s", async (_, header) => {
    const { heapBytes } = await measured(safetensorsFile(header));
    expect(heapBytes).toBeGreaterThan(header.length);
    expect(heapBytes).toBeLessThan(4 * header.length + 1_000_000);
  });

  test("a second copy of the same would be more", async () => {
    const header = `{${tensors(most, empty(1))}}`;
    const { heapBytes, reads } = await measured(safetensorsFile(header), 2);
    expect(reads).toBe(2);
    expect(heapBytes).toBeGreaterThan(4 * header.length + 1_000_000);
  });
});

describe("a name of 20 MB, which lies outside the heap", () => {
  const sizeBytes = 20_000_000;
  const letters = "a".repeat(sizeBytes);
  test.each([
    ["plain", letters],
    ["with a letter that makes all take two bytes", `${letters}Ā`],
    ["with that as an escape", `${letters}\\u0100`],
    ["with that and an escape", `Ā${letters}\\n`],
    ["of nothing but escapes", "\\n".repeat(sizeBytes / 2)],
    ["of nothing but escapes of two bytes", "\\u0100".repeat(sizeBytes / 6)],
  ])("%s", async (_, name) => {
    const { processBytes, reads } = await measured(
      safetensorsFile(`{"${name}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`),
    );
    expect(reads).toBe(1);
    expect(processBytes).toBeLessThan(4 * sizeBytes);
  });
});
