/** What becomes of frames that an earlier, longer run left behind those of this one? */
import { spawnSync } from "node:child_process";
import { cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { removeFiles } from "../../../src/cli/generate/leftover-frames.ts";
import { jsonLines, picture, scratchFolder, small, stillmotionHere } from "../command.ts";

const earlier = ["clip-0003.png", "clip-0014.png", "clip-12345.png"];
const others = [
  "clip-003.png", // not four digits
  "clip-00003.png",
  "clip-0003.PNG",
  "clip-0003.jpg",
  "clip-0003-x.png",
  "other-0003.png",
  "clip-1-0003.png",
  "clip-0000.png",
];

it("names them, and leaves them where they are", async () => {
  const folder = await scratchFolder();
  const output = join(folder, "clip.png");
  for (const name of [...earlier, ...others]) await writeFile(join(folder, name), "old");
  const { code, stderr } = await stillmotionHere(["generate", picture, "-o", output, ...small]);
  expect(code).toBe(0);
  const names = earlier.map((name) => join(folder, name)).join(", ");
  expect(stderr).toContain(`${names} are not of this run, which wrote 2 frames; --clean removes such files\n`);
  expect((await readdir(folder)).sort()).toEqual(["clip-0001.png", "clip-0002.png", ...earlier, ...others].sort());
});

it("removes them with --clean, and nothing else", async () => {
  const folder = await scratchFolder();
  const output = join(folder, "clip.png");
  for (const name of [...earlier, ...others]) await writeFile(join(folder, name), "old");
  await symlink("elsewhere", join(folder, "clip-0004.png"));
  await cp(picture, join(folder, "clip-0009.png"));
  const args = ["generate", join(folder, "clip-0009.png"), "-o", output, ...small, "--clean"];
  const { code, stderr } = await stillmotionHere(args);
  expect(code).toBe(0);
  const names = earlier.map((name) => join(folder, name)).join(", ");
  expect(stderr).toContain(`removed what an earlier, longer run had left: ${names}\n`);
  const kept = ["clip-0001.png", "clip-0002.png", "clip-0004.png", "clip-0009.png", ...others];
  expect((await readdir(folder)).sort()).toEqual(kept.sort());
  expect((await readFile(join(folder, "clip-0009.png"))).equals(await readFile(picture))).toBe(true);
});

it("says which could not be removed, and is no failed run for it", async ({ skip }) => {
  const folder = await scratchFolder();
  const [stuck, free] = [join(folder, "clip-0003.png"), join(folder, "clip-0004.png")];
  for (const file of [stuck, free]) await writeFile(file, "old");
  if (spawnSync("chattr", ["+i", stuck]).status !== 0) return skip("only root can make a file that stays, on Linux");
  onTestFinished(() => void spawnSync("chattr", ["-i", stuck]));
  const args = ["generate", picture, "-o", join(folder, "clip.png"), ...small, "--clean", "--json"];
  const { code, stdout } = await stillmotionHere(args);
  expect(code).toBe(0);
  const events = jsonLines(stdout);
  expect(events.at(-1)).toMatchObject({ event: "result" });
  expect(events.map(({ message }) => message)).toEqual(
    expect.arrayContaining([
      `removed what an earlier, longer run had left: ${free}`,
      expect.stringMatching(/clip-0003\.png, of an earlier, longer run, could not be removed \(EPERM: [^,]+\)$/),
    ]),
  );
  expect((await readdir(folder)).sort()).toEqual(["clip-0001.png", "clip-0002.png", "clip-0003.png"]);
});

it("goes on behind a file that cannot be removed", async () => {
  const folder = await scratchFolder();
  await mkdir(join(folder, "stuck"));
  for (const name of ["stuck/a", "b"]) await writeFile(join(folder, name), "old");
  const { removed, failures } = await removeFiles([join(folder, "stuck"), join(folder, "b")]);
  expect(removed).toEqual([join(folder, "b")]);
  expect(failures).toEqual([expect.stringMatching(/stuck, of an earlier, longer run, could not be removed \(E/)]);
  expect(await readdir(folder)).toEqual(["stuck"]);
});

it("removes none of a run that fails, nor of a second output's", async () => {
  const folder = await scratchFolder();
  for (const name of ["clip-0009.png", "a1001.png"]) await writeFile(join(folder, name), "old");
  const failing = ["generate", "nowhere.jpg", "-o", join(folder, "clip.png"), ...small, "--clean"];
  expect(await stillmotionHere(failing)).toMatchObject({ code: 1 });
  expect(await readdir(folder)).toEqual(["a1001.png", "clip-0009.png"]);

  const outputs = ["-o", join(folder, "a%04d.png"), "-o", join(folder, "a1%03d.png")];
  const { code } = await stillmotionHere(["generate", picture, ...outputs, ...small, "--clean"]);
  expect(code).toBe(0);
  const written = ["a0001.png", "a0002.png", "a1001.png", "a1002.png"];
  expect(await readdir(folder)).toEqual([...written, "clip-0009.png"]);
});
