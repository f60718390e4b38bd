/** How does a test run out of space? On a disk of its own, where this machine lets it make one. */
import { spawnSync } from "node:child_process";
import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** @param size of the disk, such as `2m`. It is there until the test is over; undefined where only root could make one. */
export async function smallFileSystem(size: string): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "stillmotion-small-"));
  const { status } = asRoot(`mount -t tmpfs -o size=${size} tmpfs`, folder);
  onTestFinished(async () => {
    if (status === 0) asRoot("umount", folder);
    await rmdir(folder);
  });
  return status === 0 ? folder : undefined;
}

export function asRoot(words: string, folder: string) {
  const [program, ...args] = words.split(" ");
  return spawnSync(program!, [...args, folder]);
}
