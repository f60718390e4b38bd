/** Is the work of a run kept when its disk is full, gone or closed at the end? */
import type { ChildProcess } from "node:child_process";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { readSafetensors } from "../../src/node/weights.ts";
import { asRoot, smallFileSystem } from "../support/small-file-system.ts";
import { jsonLines, picture, scratchFolder, small, start, stillmotionHere } from "./command.ts";

const onlyRoot = "only root can make a small file system";

/** Runs to the end; `trouble` is made when the UNet begins to work. */
async function runInto(
  trouble: () => Promise<unknown>,
  words: readonly string[],
  { env = {}, cwd = "." }: { env?: Record<string, string>; cwd?: string },
) {
  const { child, outcome } = start(["generate", picture, ...words, "--seed", "5", "--json"], { env, cwd });
  onTestFinished(() => void child.kill("SIGKILL"));
  await denoising(child);
  await trouble();
  const { code, stdout } = await outcome;
  const events = jsonLines(stdout);
  return { code, events, last: events.at(-1) as { code: string; message: string } };
}

async function denoising({ stdout }: ChildProcess): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let seen = "";
  stdout!.on("data", (data) => {
    seen += data;
    if (seen.includes('"stage":"unet","part"')) resolve();
  });
  return promise;
}

const steps = [...small, "--steps", "40", "--threads", "1"];

async function expectLatents(path: string): Promise<void> {
  const { tensors } = await readSafetensors(path);
  expect(tensors.latents).toMatchObject({ dtype: "float32", shape: [1, 2, 4, 16, 16] });
  expect(new Set(tensors.latents!.data as Float32Array).size).toBeGreaterThan(1000);
}

it("refuses a clip that the disk has no room for, before the run", async ({ skip }) => {
  const disk = await smallFileSystem("1m");
  if (disk === undefined) return skip(onlyRoot);
  const words = ["-o", join(disk, "clip.mp4"), "-o", join(disk, "clip.safetensors")];
  const args = ["generate", picture, ...words, ...small];
  expect(await stillmotionHere(args)).toMatchObject({ code: 0 });
  for (const name of await readdir(disk)) await rm(join(disk, name));

  await writeFile(join(disk, "other"), new Uint8Array(900_000));
  const { code, stderr } = await stillmotionHere(args);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    new RegExp(
      `error: ${disk}: no room for the clip, which may take up to 2\\d\\d\\.\\d kB \\(\\d+\\.\\d kB are free\\); free some, or choose`,
    ),
  );
  expect(stderr).not.toContain("unet");
  expect(await readdir(disk)).toEqual(["other"]);
});

it("keeps the latents beside a clip that finds no room, and writes the others", async ({ skip }) => {
  const [disk, folder] = [await smallFileSystem("1m"), await scratchFolder()];
  if (disk === undefined) return skip(onlyRoot);
  const fill = () => writeFile(join(disk, "other"), new Uint8Array(2 ** 20 - 24576)); // room for the latents alone
  const outputs = [join(disk, "clip.safetensors"), join(folder, "clip.gif"), join(disk, "clip.png")];
  const words = outputs.flatMap((output) => ["-o", output]);
  const { code, events, last } = await runInto(fill, [...words, ...steps], { cwd: folder });
  expect(code).toBe(1);
  expect(last).toMatchObject({ event: "error", code: "output" });
  expect(last.message).toMatch(
    /clip\.safetensors: no space left for 0\.1 MB; free some, or choose .*\n.*clip.*png: no space left/,
  );
  const kept = join(disk, "clip.latents.safetensors");
  expect(last.message).toContain(`\nthe denoised latents are kept in ${kept}, as the tensor "latents": `);
  expect(last.message).toMatch(/the same command with --seed 5 makes the same clip again$/);
  await expectLatents(kept);
  expect(events.at(-2)).toMatchObject({ event: "result", files: [{ paths: [join(folder, "clip.gif")] }] });
  expect(await readdir(folder)).toEqual(["clip.gif"]);
  expect((await readdir(disk)).sort()).toEqual(["clip.latents.safetensors", "other"]);
});

it("keeps the latents elsewhere when the disk can take nothing any more", async ({ skip }) => {
  const [disk, folder] = [await smallFileSystem("1m"), await scratchFolder()];
  if (disk === undefined) return skip(onlyRoot);
  const close = async () => asRoot("mount -o remount,ro", disk);
  const { code, last } = await runInto(close, ["-o", join(disk, "clip.mp4"), ...steps], { env: { TMPDIR: folder } });
  asRoot("mount -o remount,rw", disk);
  expect(code).toBe(1);
  expect(last.message).toContain("is on a read-only file system");
  expect(last.message).toContain(`are kept in ${join(folder, "clip.latents.safetensors")}, as`);
  await expectLatents(join(folder, "clip.latents.safetensors"));
});

it("keeps the latents in the current folder when there is no other, under a name that is free", async () => {
  const folder = await scratchFolder();
  const [gone, cwd] = [join(folder, "gone"), join(folder, "here")];
  for (const each of [gone, cwd]) await mkdir(each);
  await writeFile(join(cwd, "clip.latents.safetensors"), "stays");
  const remove = () => rm(gone, { recursive: true });
  const { code, last } = await runInto(remove, ["-o", join(gone, "clip.mp4"), ...steps], {
    env: { TMPDIR: join(folder, "no") },
    cwd,
  });
  expect(code).toBe(1);
  expect(last.message).toContain(`the folder ${gone} does not exist`);
  expect(last.message).toContain(`are kept in ${join(cwd, "clip.latents-2.safetensors")}, as`);
  await expectLatents(join(cwd, "clip.latents-2.safetensors"));
});

it("keeps the latents when decoding finds no room for what it sets aside", async ({ skip }) => {
  const [disk, folder] = [await smallFileSystem("100m"), await scratchFolder()];
  if (disk === undefined) return skip(onlyRoot);
  const fill = () => writeFile(join(disk, "other"), new Uint8Array(104e6));
  const size = [
    "--width",
    "192",
    "--height",
    "192",
    "--frames",
    "8",
    "--decode-chunk-size",
    "1",
    "--steps",
    "2",
    "--threads",
    "1",
  ];
  const words = ["-o", "clip.mp4", ...small, ...size, "--scratch-folder", disk];
  const { code, last } = await runInto(fill, words, { cwd: folder });
  expect({ code, message: last.message }).toMatchObject({
    code: 1,
    message: expect.stringContaining("no space to set"),
  });
  const kept = join(folder, "clip.latents.safetensors");
  expect(last.message).toContain(`the denoised latents are kept in ${kept}`);
  expect(await readdir(folder)).toEqual(["clip.latents.safetensors"]);
});
