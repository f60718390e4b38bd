import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { type Lock, tryLock } from "../../../src/node/files/lock.ts";

async function lockPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "stillmotion-lock-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, "a.lock");
}

const ended = () => spawnSync(process.execPath, ["-e", ""]).pid;

it("is held by one, who is told to the others, until it is released", async () => {
  const path = await lockPath();
  const lock = (await tryLock(path)) as Lock;
  expect(await tryLock(path)).toEqual({ heldBy: { processId: process.pid, host: hostname() } });
  lock.release();
  lock.release();
  expect(await readdir(join(path, ".."))).toEqual([]);
});

it.each([
  ["a process that has ended", () => `${ended()} ${hostname()}`, 0, true],
  ["a process of another host", () => `${ended()} elsewhere`, 0, false],
  [
    "a process of a container with the host's name",
    () => `${ended()} ${hostname()} pid:[1]`,
    0,
    process.platform !== "linux",
  ],
  ["nobody who touched it for a minute", () => "1 elsewhere", 61_000, true],
  ["one who has not yet written its name", () => "", 0, false],
])("held by %s", async (_, text, ageMs, isFree) => {
  const path = await lockPath();
  await writeFile(path, text());
  const time = new Date(Date.now() - ageMs);
  await utimes(path, time, time);
  const lock = await tryLock(path);
  expect("release" in lock).toBe(isFree);
  expect(await readdir(join(path, ".."))).toEqual(["a.lock"]);
  if ("release" in lock) lock.release();
});

it("of many who try for one that was left behind, one has it", async () => {
  const path = await lockPath();
  await writeFile(path, `${ended()} ${hostname()}`);
  const tries = await Promise.all(Array.from({ length: 8 }, () => tryLock(path)));
  const held = tries.filter((each) => "release" in each);
  expect(held).toHaveLength(1);
  for (const lock of held) lock.release();
  expect(await readdir(join(path, ".."))).toEqual([]);
});

it("leaves alone the lock of one who took it over", async () => {
  const path = await lockPath();
  const lock = (await tryLock(path)) as Lock;
  await writeFile(path, "1 elsewhere");
  lock.release();
  expect(await readdir(join(path, ".."))).toEqual(["a.lock"]);
});

it("fails as the file system does where no file can be made", async () => {
  await expect(tryLock(join(await lockPath(), "nowhere", "a.lock"))).rejects.toMatchObject({ code: "ENOENT" });
});
