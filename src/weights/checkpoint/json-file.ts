/** How is one of a checkpoint's small JSON files read? Whole, strictly, with the path and place in every error. */
import { StillmotionError } from "../../errors.ts";
import { parseJsonObject } from "../../json/json-reader.ts";
import { type FileSource, readInto } from "../file-source.ts";
import type { JsonObject } from "../types.ts";

/** The index of a sharded 1.5 B UNet takes 0.2 MB. */
const maxJsonBytes = 25_000_000;

/** Reads a file that must hold one JSON object. Throws `invalid-checkpoint`. */
export async function readJsonFile(files: FileSource, path: string): Promise<JsonObject> {
  const object = await readOptionalJsonFile(files, path);
  if (object) return object;
  throw new StillmotionError("invalid-checkpoint", `${path}: is missing: is the download complete?`);
}

/** As {@link readJsonFile}, but undefined when there is no such file. */
export async function readOptionalJsonFile(files: FileSource, path: string): Promise<JsonObject | undefined> {
  let bytes: Uint8Array;
  try {
    const { kind, sizeBytes } = await files.look(path);
    if (kind !== "file") throw new StillmotionError("invalid-checkpoint", `${path}: is not a file`);
    if (sizeBytes > maxJsonBytes) {
      throw new StillmotionError(
        "invalid-checkpoint",
        `${path}: takes ${sizeBytes} bytes, expected at most ${maxJsonBytes}`,
      );
    }
    bytes = await readWhole(files, path);
  } catch (cause) {
    if (cause instanceof StillmotionError) throw cause;
    const { isMissing, reason } = files.problemOf(cause);
    if (isMissing) return undefined;
    throw new StillmotionError("invalid-checkpoint", `${path}: cannot be read (${reason})`, { cause });
  }
  return parseJsonObject(bytes, path);
}

async function readWhole(files: FileSource, path: string): Promise<Uint8Array> {
  const file = await files.open(path);
  try {
    const bytes = new Uint8Array(file.sizeBytes);
    return bytes.subarray(0, await readInto(file, bytes, 0));
  } finally {
    await file.close();
  }
}
