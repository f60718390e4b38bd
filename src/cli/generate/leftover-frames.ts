/** Which numbered pictures of an earlier, longer run come after those that were written, and how are they removed? */
import { readdir, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileIdentity } from "../../node/files/file-identity.ts";
import { fileSystemReason } from "../../node/files/file-system-errors.ts";
import { pngFrameNumber } from "../../node/video/png-frames.ts";

/**
 * The files with names of exactly this numbering and higher numbers than this clip's, in order.
 *
 * @param path of the clip, such as `clip.png`
 * @param keep identities of files that belong to this run
 */
export async function leftoverFrames(
  path: string,
  numFrames: number,
  keep: { has(identity: string): boolean },
): Promise<string[]> {
  const entries = await readdir(dirname(path), { withFileTypes: true }).catch(() => []);
  const found: { file: string; number: number }[] = [];
  for (const entry of entries) {
    const number = pngFrameNumber(path, entry.name);
    const file = join(dirname(path), entry.name);
    if (number === undefined || number <= numFrames || !entry.isFile()) continue;
    if (!keep.has(await fileIdentity(file))) found.push({ file, number });
  }
  return found.sort((a, b) => a.number - b.number).map(({ file }) => file);
}

/** @returns what was removed, and a sentence for each file that could not be */
export async function removeFiles(files: readonly string[]): Promise<{ removed: string[]; failures: string[] }> {
  const removed: string[] = [];
  const failures: string[] = [];
  for (const file of files) {
    await unlink(file).then(
      () => removed.push(file),
      (cause) => failures.push(`${file}, of an earlier, longer run, could not be removed (${fileSystemReason(cause)})`),
    );
  }
  return { removed, failures };
}
