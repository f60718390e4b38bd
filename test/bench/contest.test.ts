import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Contestant, contest, largestDifference } from "../../bench/contest.ts";
import { type FloatTensor, floatTensor } from "../../src/tensor.ts";
import { encodeSafetensors } from "../../src/weights/safetensors/safetensors.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "contest-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A program that notes that it ran, writes `values` as its result and reports a measurement. */
async function contestant(
  name: string,
  values: readonly number[],
  tolerance?: number,
  { runSeconds = [3], more = {} }: { runSeconds?: readonly number[]; more?: Record<string, FloatTensor> } = {},
): Promise<Contestant> {
  const [result, outputFile] = [join(folder, `${name}.result`), join(folder, "output.safetensors")];
  await writeFile(
    result,
    encodeSafetensors({ sample: floatTensor([values.length], Float32Array.from(values)), ...more }),
  );
  const measurement = {
    loadSeconds: 1,
    warmUpSeconds: 2,
    runSeconds,
    runCpuSeconds: [4],
    peakBytes: 5,
    versions: {},
  };
  const program = `
    const { appendFileSync, copyFileSync } = require("node:fs");
    const [result, output, log] = process.argv.slice(1);
    copyFileSync(result, output);
    appendFileSync(log, ${JSON.stringify(name)} + process.pid + " ");
    console.log("a line that is no measurement");
    console.log(${JSON.stringify(JSON.stringify(measurement))});`;
  const args = ["--eval", program, result, outputFile, join(folder, "log")];
  return { name, program: process.execPath, args, outputFile, tolerance };
}

const silent = { rounds: 1, log: () => {} };

it("runs all sides in turn, each in a process of its own, and keeps what they measured", async () => {
  const lines: string[] = [];
  const sides = [await contestant("A", [1, 2, 2]), await contestant("B", [1, 2, 2.0003], 1e-3)];
  const [a, b] = await contest(sides, { rounds: 2, log: (line) => lines.push(line) });
  const ran = (await readFile(join(folder, "log"), "utf8")).trim().split(" ");
  expect(ran.map((each) => each[0])).toEqual(["A", "B", "A", "B"]);
  expect(new Set(ran).size).toBe(4);
  expect(a!.measurements).toHaveLength(2);
  expect(b!.measurements[0]!.runSeconds).toEqual([3]);
  expect(b!.difference).toBeCloseTo(1e-4, 6);
  expect(lines[0]).toBe("A: load 1.00 s, first 2.00 s, then 3.00 s; 5 bytes");
});

it("believes no time of a side whose result is too far from the first one's, or is no number", async () => {
  const first = await contestant("first", [1, 2, 2]);
  await expect(contest([first, await contestant("off", [1, 2, 2.0003], 1e-5)], silent)).rejects.toThrow(
    "off differs from first by 1.0e-4 (relative L2), more than 0.00001",
  );
  const broken = await contestant("broken", [1, 2, Number.NaN], 1e-3);
  await expect(contest([first, broken], silent)).rejects.toThrow("broken differs from first by NaN");
});

it("takes any result of a side that has no tolerance, and says how far it is", async () => {
  const [, other] = await contest([await contestant("first", [3, 4]), await contestant("other", [3, 9])], silent);
  expect(other!.difference).toBe(1);
  expect(other!.results.sample!.data).toEqual(Float32Array.of(3, 9));
});

it("compares what a first side without runs has, and no more than that only there", async () => {
  const more = { run: floatTensor([1]) };
  const other = await contestant("other", [1, 2, 2.0003], 1e-3, { more });
  const [, agreed] = await contest(
    [await contestant("first", [1, 2, 2], undefined, { runSeconds: [] }), other],
    silent,
  );
  expect(agreed!.difference).toBeCloseTo(1e-4, 6);
  expect(Object.keys(agreed!.results)).toEqual(expect.arrayContaining(["run", "sample"]));
  const strict = contest([await contestant("first", [1, 2, 2]), other], silent);
  await expect(strict).rejects.toThrow("results are run, sample, expected sample");
});

it("ends with what a program said that failed", async () => {
  const failing = { ...(await contestant("failing", [1])), args: ["--eval", 'throw new Error("out of luck")'] };
  await expect(contest([failing], silent)).rejects.toThrow(/exit code 1.*out of luck/s);
});

it("results are compared tensor by tensor, and must have the same names", () => {
  const [ones, twos] = [floatTensor([2], Float32Array.of(1, 1)), floatTensor([2], Float32Array.of(2, 2))];
  expect(largestDifference({ a: ones, b: twos }, { a: ones, b: ones })).toBe(1);
  expect(() => largestDifference({ a: ones }, { b: ones })).toThrow("results are a, expected b");
});
