/** Which files does a run write? One of each kind for every clip, known and checked before the work begins. */
import { dirname, join, parse } from "node:path";
import { bytesText } from "../../byte-sizes.ts";
import { StillmotionError } from "../../errors.ts";
import { fileIdentity, targetPath } from "../../node/files/file-identity.ts";
import { freeSpaceBytes } from "../../node/files/free-space.ts";
import { checkOutput, filesOfClip } from "../../node/video/export.ts";
import { checkWritable } from "../../node/video/write-file.ts";
import type { Settings } from "../../options/resolve-settings.ts";
import { largestClipBytes } from "../../video/largest-size.ts";
import type { FilesRead } from "../run/files-read.ts";

/** The paths for each clip; `out.mp4` becomes `out-1.mp4`, `out-2.mp4` … where there are several clips. */
export function outputPaths(outputs: readonly string[], clips: number): string[][] {
  return Array.from({ length: clips }, (_, clip) =>
    outputs.map((output) => (clips === 1 ? output : numbered(output, clip + 1))),
  );
}

function numbered(path: string, number: number): string {
  const { dir, name, ext } = parse(path);
  return join(dir, `${name}-${number}${ext}`);
}

/**
 * Checks before the work that every file can be written, is not read by the run, and is not written twice.
 *
 * @param paths of all clips
 * @param clip what is known of it so far; it has at least one frame
 * @returns the files that each path stands for
 */
export async function checkOutputs(
  paths: readonly string[],
  { numFrames = 1, fps }: { numFrames?: number | undefined; fps?: number | undefined },
  read: FilesRead,
): Promise<string[][]> {
  const written = new Map<string, string>();
  const files: string[][] = [];
  for (const path of paths) {
    const format = await checkOutput(path, fps === undefined ? {} : { fps });
    const ofClip = filesOfClip(path, numFrames, format);
    for (const file of ofClip) {
      const identity = await fileIdentity(file);
      refuseTaken(file, read.get(identity), written.get(identity));
      written.set(identity, file);
      await checkWritable(file);
    }
    files.push(ofClip);
  }
  return files;
}

function refuseTaken(
  file: string,
  read: { path: string; what: string } | undefined,
  written: string | undefined,
): void {
  const other = read?.path ?? written;
  if (other === undefined) return;
  const what = read?.what ?? "given twice";
  const asWhat = other === file ? "" : ` (as ${other})`;
  throw new StillmotionError("invalid-option", `--output: ${file} is ${what}${asWhat}; choose another name`);
}

/** Throws `output` where a file system has less space than the clips may take at most. */
export async function assertRoom(paths: readonly string[], settings: Settings): Promise<void> {
  const needed = new Map<string, { folder: string; bytes: number }>();
  for (const path of paths) {
    const folder = dirname(await targetPath(path));
    const [device = folder] = (await fileIdentity(folder)).split(":");
    const bytes = largestClipBytes(await checkOutput(path), settings) + (needed.get(device)?.bytes ?? 0);
    needed.set(device, { folder, bytes });
  }
  for (const { folder, bytes } of needed.values()) {
    const freeBytes = await freeSpaceBytes(folder);
    if (freeBytes === undefined || freeBytes >= bytes) continue;
    const problem = `${folder}: no room for the clip, which may take up to ${bytesText(bytes)} (${bytesText(freeBytes)} are free)`;
    throw new StillmotionError("output", `${problem}; free some, or choose a folder on another disk`);
  }
}
