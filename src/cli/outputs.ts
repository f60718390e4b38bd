/** Which files does a run write? One of each kind for every clip, known and checked before the work begins. */
import { realpathSync } from "node:fs";
import { join, parse, resolve } from "node:path";
import { StillmotionError } from "../errors.ts";
import { checkOutput } from "../video/export.ts";

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
 * Finds out before the work that every file can be written and is no other one of this run.
 *
 * @param images the pictures, as given: none of them may be overwritten
 */
export async function checkOutputs(
  paths: readonly string[],
  images: readonly string[],
  fps: number | undefined,
): Promise<void> {
  const taken = new Map<string, string>(images.map((image) => [realPath(image), "the picture itself"]));
  for (const path of paths) {
    const target = realPath(path);
    const other = taken.get(target);
    if (other) {
      throw new StillmotionError("invalid-option", `--output: ${path} is ${other}; choose another name`);
    }
    taken.set(target, "given twice");
    await checkOutput(path, fps === undefined ? {} : { fps });
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return resolve(path);
  }
}
