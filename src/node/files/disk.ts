/** How does the disk serve as the source of weights? */
import { constants, open, readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { FilePlace, FileSource, PathContent } from "../../weights/file-source.ts";
import { fileSystemReason, isMissing } from "./file-system-errors.ts";

/** Files by the paths that the operating system takes. */
export const disk: FileSource = {
  look: async (path) => contentOf(await stat(path)),
  list: (folder) => readdir(folder),
  realPlace: async (path) => placeOf(await realpath(path)),
  async open(path) {
    // Not blocking: a named pipe must not hang the caller.
    const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      return {
        ...contentOf(await file.stat()),
        read: async (into, offset) => (await file.read(into, 0, into.length, offset)).bytesRead,
        close: () => file.close(),
      };
    } catch (cause) {
      await file.close();
      throw cause;
    }
  },
  join,
  placeOf,
  problemOf: (cause) => ({ isMissing: isMissing(cause), reason: fileSystemReason(cause) }),
};

function placeOf(path: string): FilePlace {
  return { folder: dirname(path), name: basename(path) };
}

function contentOf(stats: Awaited<ReturnType<typeof stat>>): PathContent {
  const kind = stats.isFile() ? "file" : stats.isDirectory() ? "folder" : "other";
  return { kind, sizeBytes: Number(stats.size) };
}
