/** Does the reader of a hostile header hold more than four times the header's length? */
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { Worker } from "node:worker_threads";
import { beforeAll, describe, expect, test } from "vitest";
import { safetensorsFile } from "../hostile/safetensors.ts";

const reader = resolve("src/weights/safetensors-header.ts");
const mebibyte = 2 ** 20;

/** Reads in a thread whose heap can grow to so many mebibytes and no further. */
function reads(bytes: Uint8Array, limitMebibytes: number, how: "reader" | "JSON.parse" = "reader"): Promise<boolean> {
  const code = `
    const { bytes, reader, how } = require("node:worker_threads").workerData;
    import(reader).then(({ parseSafetensorsHeader }) => {
      try {
        if (how === "reader") parseSafetensorsHeader(bytes, bytes.length, "x");
        else JSON.parse(new TextDecoder().decode(bytes.subarray(8)));
      } catch (error) {
        if (error.name !== "StillmotionError") throw error;
      }
    });`;
  const worker = new Worker(code, {
    eval: true,
    workerData: { bytes, reader, how },
    resourceLimits: { maxOldGenerationSizeMb: limitMebibytes, maxYoungGenerationSizeMb: 1 },
  });
  return new Promise((done, refuse) => {
    worker.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ERR_WORKER_OUT_OF_MEMORY") done(false);
      else refuse(error);
    });
    worker.once("exit", () => done(true));
  });
}

/** The shortest names there are, all different. */
const alphabet = Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i)).filter((c) => !/["\\]/.test(c));
function shortName(index: number): string {
  const last = alphabet[index % alphabet.length]!;
  return index < alphabet.length ? last : shortName(Math.floor(index / alphabet.length) - 1) + last;
}

function header(tensors: number, fields: (index: number) => string, start = ""): Uint8Array {
  const members = Array.from(
    { length: tensors },
    (_, index) => `"${shortName(index)}":{"dtype":"U8",${fields(index)}}`,
  );
  return safetensorsFile(`{${start}${members.join()}}`);
}

const texts = Array.from({ length: 2048 }, (_, index) => `"${shortName(index)}":"${shortName(index)}"`);
const zeros = (count: number) => `"shape":[${Array(count).fill(0)}],"data_offsets":[0,0]`;

// A hash table has just grown at 65,537 entries: there the reader holds most for its input.
const shortEntries: Readonly<Record<string, () => Uint8Array>> = {
  "as many tensors as there may be": () => header(100_000, () => zeros(1)),
  "tensors for whose names a table has just grown": () => header(65_540, () => zeros(1)),
  "the same after as many short texts as there may be": () =>
    header(65_540, () => zeros(1), `"__metadata__":{${texts.join()}},`),
  "tensors of as many axes as there may be": () => header(65_540, () => zeros(16)),
  "tensors out of order": () =>
    header(65_540, (index) => `"shape":[1],"data_offsets":[${65_539 - index},${65_540 - index}]`),
  "offsets that need more than 32 bits": () =>
    header(65_540, (index) => `"shape":[0],"data_offsets":[${9e9 - index},${9e9 - index}]`),
};

describe("on the heap", () => {
  let emptyLimit = 8;
  beforeAll(async () => {
    while (!(await reads(safetensorsFile("{}"), emptyLimit))) emptyLimit++;
  });

  test.each(Object.entries(shortEntries))("%s", async (_, make) => {
    const bytes = make();
    const limit = emptyLimit + Math.ceil((4 * bytes.length) / mebibyte) + 1;
    expect(await reads(bytes, limit)).toBe(true);
  });

  test("the limit is one that JSON.parse does not keep", async () => {
    const bytes = shortEntries["as many tensors as there may be"]!();
    const limit = emptyLimit + Math.ceil((4 * bytes.length) / mebibyte) + 1;
    expect(await reads(bytes, limit, "JSON.parse")).toBe(false);
  });
});

describe("strings of 20 MB, which lie outside the heap", () => {
  const letters = "Buffer.alloc(20_000_000, 97)";
  test.each([
    ["plain", `[${letters}]`],
    ["with a letter that makes all take two bytes", `[${letters}, "Ā"]`],
    ["with that as an escape", String.raw`[${letters}, "\\u0100"]`],
    ["with that and an escape", String.raw`["Ā", ${letters}, "\\n"]`],
    ["of nothing but escapes", String.raw`[Buffer.alloc(20_000_000, "\\n")]`],
    ["of nothing but escapes of two bytes", String.raw`[Buffer.alloc(19_999_998, "\\u0100")]`],
  ])("%s", (_, parts) => {
    const code = `
      const { parseSafetensorsHeader } = await import(${JSON.stringify(reader)});
      const ends = ['{"', '":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'].map((text) => Buffer.from(text));
      const json = Buffer.concat([ends[0], ...${parts}.map((part) => Buffer.from(part)), ends[1]]);
      const bytes = Buffer.concat([Buffer.alloc(8), json]);
      bytes.writeBigUInt64LE(BigInt(json.length));
      gc();
      const before = process.memoryUsage().rss;
      const { entries } = parseSafetensorsHeader(bytes, bytes.length, "x");
      const held = 1024 * process.resourceUsage().maxRSS - before;
      console.log(JSON.stringify({ tensors: entries.size, times: held / bytes.length }));`;
    const { stdout, stderr } = spawnSync(process.execPath, ["--expose-gc", "--input-type=module", "-e", code], {
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    const { tensors, times } = JSON.parse(stdout);
    expect(tensors).toBe(1);
    expect(times).toBeLessThan(4);
  });
});
