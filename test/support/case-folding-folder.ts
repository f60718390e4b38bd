/** Where does a test find a folder in which `A` and `a` are one name? Here, or on a disk of its own where this machine can make one. */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { asRoot } from "./small-file-system.ts";

const makers = ["mkfs.vfat -C", "mkfs.ext4 -q -O casefold -E encoding=utf8"];
const sizeKb = "8192";

/** The folder is there until the test is over; undefined where there is no such file system. */
export async function caseFoldingFolder(): Promise<string | undefined> {
  const root = await mkdtemp(join(tmpdir(), "stillmotion-folding-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  if (await folds(root)) return root;
  const mounted = join(root, "mounted");
  await mkdir(mounted);
  for (const [index, maker] of makers.entries()) {
    const image = join(root, `image-${index}`);
    if (asRoot(`${maker} ${image}`, sizeKb).status !== 0) continue;
    if (asRoot(`mount -o loop ${image}`, mounted).status !== 0) continue;
    onTestFinished(() => void asRoot("umount", mounted));
    const folder = join(mounted, "folder");
    await mkdir(folder);
    asRoot("chattr +F", folder);
    if (await folds(folder)) return folder;
  }
  return undefined;
}

async function folds(folder: string): Promise<boolean> {
  const path = join(folder, "probe");
  await writeFile(path, "");
  const isFolding = existsSync(join(folder, "PROBE"));
  await rm(path);
  return isFolding;
}
