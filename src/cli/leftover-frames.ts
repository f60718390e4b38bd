/** Which numbered pictures of an earlier, longer run lie behind those that were written? */
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileIdentity } from "../files/file-identity.ts";
import { pngFrameNumber } from "../video/png-frames.ts";

/**
 * Files of exactly this numbering and a higher number, in order.
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
