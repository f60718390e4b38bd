import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { StillmotionError } from "../../src/errors.ts";
import { openScratchSpace, temporaryFolder } from "../../src/node/scratch.ts";
import { smallFileSystem } from "../support/small-file-system.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stillmotion-scratch-"));
});
afterAll(() => rm(folder, { recursive: true }));

const onDisk = { inMemoryBytes: 0 };

describe.each([
  ["in memory", {}],
  ["on disk", onDisk],
])("a scratch %s", (_, options) => {
  it("gives back what was written, in any order and in any pieces", async () => {
    const scratch = await openScratchSpace(folder, options).create(10);
    await scratch.write(7, Float32Array.of(7.5, 8.5, 9.5));
    await scratch.write(0, Float32Array.of(-1, 0.1, Number.NaN, 3).subarray(1));
    const read = new Float32Array(6);
    await scratch.read(8, read.subarray(0, 2));
    await scratch.read(0, read.subarray(3));
    expect([...read]).toEqual([8.5, 9.5, 0, Math.fround(0.1), Number.NaN, 3]);
    await scratch.release();
  });

  it("gives back many numbers, whose pieces begin and end anywhere", async () => {
    const length = 12e6 + 5; // 48 MB
    const scratch = await openScratchSpace(folder, options).create(length);
    const pieces = [0, 1, 2.5e6, 2.5e6 + 3, 11e6, length];
    for (const [index, end] of pieces.slice(1).entries()) {
      const values = new Float32Array(end - pieces[index]!).map((_, i) => pieces[index]! + i);
      await scratch.write(pieces[index]!, values);
    }
    for (const [first, count] of [
      [0, length],
      [3e6 + 1, 5e6],
      [1048575, 2],
    ] as const) {
      const read = new Float32Array(count);
      await scratch.read(first, read);
      expect(read.findIndex((value, index) => value !== first + index)).toBe(-1);
    }
    await scratch.release();
  });

  it("keeps numbers apart from those of another", async () => {
    const space = openScratchSpace(folder, options);
    const scratches = await Promise.all([1, 2, 3].map(() => space.create(2)));
    await Promise.all(scratches.map((scratch, index) => scratch.write(0, Float32Array.of(index, -index))));
    await scratches[1]!.release();
    const read = new Float32Array(2);
    await scratches[2]!.read(0, read);
    expect([...read]).toEqual([2, -2]);
    await Promise.all([scratches[0]!.release(), scratches[2]!.release()]);
  });

  it("leaves no file's name behind, not even while it is used", async () => {
    const scratch = await openScratchSpace(folder, options).create(1000);
    await scratch.write(0, new Float32Array(1000));
    expect(await readdir(folder)).toEqual([]);
    await scratch.release();
  });
});

it("holds in memory no more than it may, all scratches together", async ({ skip }) => {
  const small = await smallFileSystem("2m");
  if (small === undefined) return skip("only root can make a small file system");
  const space = openScratchSpace(small, { inMemoryBytes: 5e6 });
  const first = await space.create(1e6); // 4 MB, twice the disk
  await expect(space.create(1e6)).rejects.toThrow(/no space/);
  await first.release();
  await (await space.create(1e6)).release();
});

describe("without room", () => {
  const message =
    /^\/.*: no space to set 40\.0 TB aside \(\d+\.\d GB are free\); free some, or name another folder as scratchFolder$/;

  it("says so before the first number", async () => {
    const space = openScratchSpace(folder);
    await expect(space.assertFits(4e13)).rejects.toThrow(message);
    await expect(space.create(1e13)).rejects.toThrow(message);
    await expect(space.assertFits(1e6)).resolves.toBeUndefined();
    expect(await readdir(folder)).toEqual([]);
  });

  it("says so in the middle of writing", async ({ skip }) => {
    const small = await smallFileSystem("30m");
    if (small === undefined) return skip("only root can make a small file system");
    const space = openScratchSpace(small, onDisk);
    const [first, second] = await Promise.all([space.create(5e6), space.create(5e6)]); // 20 MB of 30 MB, twice
    const values = new Float32Array(5e6);
    await first!.write(0, values);
    const error = await second!.write(0, values).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(StillmotionError);
    expect(error).toMatchObject({ code: "output", cause: { code: "ENOSPC" } });
    expect((error as Error).message).toMatch(
      /: no space to set [\d.]+ MB aside \(the disk is full\); free some, or name/,
    );
    await Promise.all([first!.release(), second!.release()]);
  });
});

it("refuses a folder in which it cannot write when it is opened", () => {
  const scratchFolder = join(folder, "nowhere");
  expect(() => openScratchSpace(scratchFolder)).toThrow(
    expect.objectContaining({
      code: "invalid-option",
      message: `scratchFolder is ${scratchFolder}, expected a folder in which files can be written`,
    }),
  );
});

it.runIf(existsSync("/dev/shm") && existsSync("/var/tmp"))("avoids a folder that lies in memory", () => {
  expect(temporaryFolder("/dev/shm")).toBe("/var/tmp");
  expect(temporaryFolder("/var/tmp")).toBe("/var/tmp");
});
