/** How does a test run out of space? On a disk of 2 MB, where this machine lets it make one. */
import { spawnSync } from "node:child_process";
import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A folder with 2 MB of space, until the test is over; undefined where only root could make one. */
export async function tinyFileSystem(): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "stillmotion-small-"));
  const { status } = asRoot("mount -t tmpfs -o size=2m tmpfs", folder);
  onTestFinished(async () => {
    if (status === 0) asRoot("umount", folder);
    await rmdir(folder);
  });
  return status === 0 ? folder : undefined;
}

function asRoot(words: string, folder: string) {
  const [program, ...args] = words.split(" ");
  return spawnSync(program!, [...args, folder]);
}
