/** Do two runs at a time keep their frames apart? */
import { once } from "node:events";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { reserveOutputs } from "../../src/cli/generate/reserve-outputs.ts";
import { readClipMetadata } from "../../src/node/video/read-metadata.ts";
import { checkpoint, picture, scratchFolder, small, start, stillmotion, stillmotionHere } from "./command.ts";

const long = [
  "--model",
  checkpoint,
  "--width",
  "128",
  "--height",
  "128",
  "--frames",
  "2",
  "--steps",
  "1000",
  "--threads",
  "1",
];
const lock = ".clip-0001.png.stillmotion-lock";

/** Starts a run that reports events, and waits until it has told something. */
async function startLong(folder: string, ...outputs: string[]) {
  const words = outputs.flatMap((output) => ["-o", output]);
  const running = start(["generate", picture, ...words, ...long, "--json"], { cwd: folder });
  onTestFinished(() => void running.child.kill("SIGKILL"));
  await once(running.child.stdout!, "data");
  return running;
}

it("refuses a second run of the same files before it loads anything, and lets it go when the first has gone", async () => {
  const folder = await scratchFolder();
  const first = await startLong(folder, "clip.png", "clip.mp4");
  expect((await readdir(folder)).sort()).toEqual([lock, ".clip.mp4.stillmotion-lock"]);
  for (const output of ["clip.png", "clip-%04d.png", "clip.mp4"]) {
    const second = await stillmotionHere(["generate", "nowhere.jpg", "-o", join(folder, output), ...small]);
    expect(second).toMatchObject({ code: 1, stdout: "" });
    expect(second.stderr).toMatch(
      new RegExp(
        `another run is about to write it \\(process ${first.child.pid} on .*\\); wait for its end, or choose`,
      ),
    );
  }
  const other = await stillmotionHere(["generate", "nowhere.jpg", "-o", join(folder, "clip.gif"), ...small]);
  expect(other.stderr).toContain("nowhere.jpg: was not found");

  first.child.kill("SIGKILL");
  await first.outcome;
  expect(await readdir(folder)).toContain(lock);
  expect(await stillmotion(["generate", picture, "-o", "clip.png", ...small], { cwd: folder })).toMatchObject({
    code: 0,
  });
  expect((await readdir(folder)).sort()).toEqual([".clip.mp4.stillmotion-lock", "clip-0001.png", "clip-0002.png"]);
});

it("gives two that start at once frames of one of them", { timeout: 60_000 }, async () => {
  const folder = await scratchFolder();
  const run = (seed: string) =>
    stillmotion(["generate", picture, "-o", "clip.png", ...small, "--seed", seed], { cwd: folder });
  const outcomes = await Promise.all([run("1"), run("2")]);
  const done = outcomes.map(({ code }) => code === 0);
  expect(done.filter(Boolean).length).toBeGreaterThan(0);
  if (done.includes(false)) expect(outcomes[done.indexOf(false)]!.stderr).toContain("another run is about to write it");
  expect((await readdir(folder)).sort()).toEqual(["clip-0001.png", "clip-0002.png"]);
  const seeds = [1, 2].map(async (frame) => {
    const { settings } = await readClipMetadata(join(folder, `clip-000${frame}.png`));
    return settings?.seed;
  });
  expect(new Set(await Promise.all(seeds)).size).toBe(1);
});

it("leaves nothing of its reservation, however it ends", async () => {
  const folder = await scratchFolder();
  const words = ["-o", join(folder, "clip.png"), ...small];
  for (const [args, code] of [
    [["generate", "nowhere.jpg", ...words], 1],
    [["generate", picture, ...words, "--model", "nowhere"], 1],
  ] as const) {
    expect(await stillmotionHere(args)).toMatchObject({ code });
    expect(await readdir(folder)).toEqual([]);
  }
});

it("takes a name that is as long as names may be", async () => {
  const folder = await scratchFolder();
  const reservation = reserveOutputs(new AbortController().signal);
  await reservation.take([join(folder, `${"n".repeat(250)}.gif`)]);
  expect(await readdir(folder)).toHaveLength(1);
  reservation.release();
  expect(await readdir(folder)).toEqual([]);
});

it("refuses a lock of another machine, and says what to remove when there is no such run", async () => {
  const folder = await scratchFolder();
  await writeFile(join(folder, lock), "1 another-machine");
  const { code, stderr } = await stillmotionHere(["generate", picture, "-o", join(folder, "clip.png"), ...small]);
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr:
      `error: ${join(folder, "clip-0001.png")}: another run is about to write it (process 1 on another-machine); ` +
      `wait for its end, or choose another name. If there is no such run, remove ${join(folder, lock)}\n`,
  });
});
