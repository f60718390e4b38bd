/** What becomes of frames that an earlier, longer run left behind those of this one? */
import { cp, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { picture, scratchFolder, small, stillmotionHere } from "./command.ts";

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
