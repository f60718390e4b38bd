/** How is one of a checkpoint's small JSON files read? Whole, strictly, with the path and place in every error. */
import { readFile, stat } from "node:fs/promises";
import { StillmotionError } from "../../errors.ts";
import { parseJsonObject } from "../../json/json-reader.ts";
import { fileSystemReason, isMissing } from "../../node/files/file-system-errors.ts";
import type { JsonObject } from "../types.ts";

/** The index of a sharded 1.5 B UNet takes 0.2 MB. */
const maxJsonBytes = 25_000_000;

/** Reads a file that must hold one JSON object. Throws `invalid-checkpoint`. */
export async function readJsonFile(path: string): Promise<JsonObject> {
  const object = await readOptionalJsonFile(path);
  if (object) return object;
  throw new StillmotionError("invalid-checkpoint", `${path}: is missing: is the download complete?`);
}

/** As {@link readJsonFile}, but undefined when there is no such file. */
export async function readOptionalJsonFile(path: string): Promise<JsonObject | undefined> {
  let bytes: Uint8Array;
  try {
    const stats = await stat(path);
    if (!stats.isFile()) throw new StillmotionError("invalid-checkpoint", `${path}: is not a file`);
    if (stats.size > maxJsonBytes) {
      throw new StillmotionError(
        "invalid-checkpoint",
        `${path}: takes ${stats.size} bytes, expected at most ${maxJsonBytes}`,
      );
    }
    bytes = await readFile(path);
  } catch (cause) {
    if (cause instanceof StillmotionError) throw cause;
    if (isMissing(cause)) return undefined;
    throw new StillmotionError("invalid-checkpoint", `${path}: cannot be read (${fileSystemReason(cause)})`, { cause });
  }
  return parseJsonObject(bytes, path);
}
