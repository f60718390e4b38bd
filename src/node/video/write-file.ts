/** How does a file get its name only when it is whole? It is written beside its place and renamed at the end. */
import { access, constants, lstat, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { abortedError, StillmotionError, throwIfAborted } from "../../errors.ts";
import { targetPath } from "../files/file-identity.ts";

/** One file to write. */
export interface FileToWrite {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a file, or leaves what was there. The bytes go to a temporary file in the same folder, which gets the final name only when
 * they are on the disk. An existing file is replaced; the folder must exist.
 *
 * @throws StillmotionError `output` for a missing or read-only folder, a path that is a folder, a full disk; `aborted`
 */
export async function writeFileAtomically(path: string, bytes: Uint8Array, options: WriteOptions = {}): Promise<void> {
  await writeFilesAtomically([{ path, bytes }], options);
}

/** Writes several files, of which none gets its name before all are on the disk. */
export async function writeFilesAtomically(
  files: readonly FileToWrite[],
  { signal }: WriteOptions = {},
): Promise<void> {
  const targets = await Promise.all(files.map(({ path }) => checkWritable(path)));
  const temporaries: string[] = [];
  try {
    for (const [index, { path, bytes }] of files.entries()) {
      throwIfAborted(signal);
      const temporary = join(dirname(targets[index]!), `.stillmotion-${crypto.randomUUID()}.tmp`);
      temporaries.push(temporary);
      await writeWhole(temporary, bytes, signal).catch((cause) => throwOutputError(path, bytes.length, cause));
    }
    throwIfAborted(signal);
    for (const [index, { path, bytes }] of files.entries()) {
      await rename(temporaries[index]!, targets[index]!).catch((cause) => throwOutputError(path, bytes.length, cause));
    }
  } finally {
    await Promise.all(temporaries.map((temporary) => rm(temporary, { force: true })));
  }
}

/**
 * Finds out early whether a file can be written, before the work that makes it.
 *
 * @returns the path that the bytes will get: absolute, symbolic links followed, even one to a file that is not there yet
 * @throws StillmotionError `output`
 */
export async function checkWritable(path: string): Promise<string> {
  const existing = await stat(path).catch((cause) => {
    if (codeOf(cause) === "ENOENT") return undefined;
    return throwOutputError(path, 0, cause);
  });
  if (existing?.isDirectory()) throw outputError(`${path}: is a folder, expected a file name; add one to the path`);
  if (existing && !existing.isFile()) throw outputError(`${path}: is not a regular file; choose another path`);
  const target = existing ? await realpath(path) : await targetPath(path);
  const folder = (await isLink(path)) ? dirname(target) : dirname(path);
  await access(folder, constants.W_OK).catch((cause) => throwOutputError(path, 0, cause, folder));
  return target;
}

async function isLink(path: string): Promise<boolean> {
  return lstat(path).then(
    (found) => found.isSymbolicLink(),
    () => false,
  );
}

async function writeWhole(path: string, bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
  const file = await open(path, "wx");
  try {
    await file.writeFile(bytes, { signal });
    await file.sync();
  } catch (cause) {
    throw signal?.aborted ? abortedError(signal) : cause;
  } finally {
    await file.close();
  }
}

/** Throws `output` with the file system's reason and a way to mend it. */
export function throwOutputError(path: string, sizeBytes: number, cause: unknown, folder = dirname(path)): never {
  if (cause instanceof StillmotionError) throw cause;
  const code = codeOf(cause);
  throw outputError(`${path}: ${reasonFor(code, folder, sizeBytes) ?? `cannot be written (${cause})`}`, cause);
}

function reasonFor(code: string | undefined, folder: string, sizeBytes: number): string | undefined {
  const size = sizeBytes < 1e5 ? `${(sizeBytes / 1e3).toFixed(1)} kB` : `${(sizeBytes / 1e6).toFixed(1)} MB`;
  switch (code) {
    case "ENOENT":
      return `the folder ${folder} does not exist; create it first`;
    case "ENOTDIR":
      return `${folder} is not a folder`;
    case "EACCES":
    case "EPERM":
      return `no permission to write in ${folder}; choose another folder`;
    case "EROFS":
      return `${folder} is on a read-only file system; choose another folder`;
    case "ENOSPC":
    case "EDQUOT":
      return `no space left for ${size}; free some, or choose a folder on another disk`;
    case "EFBIG":
      return `a file of ${size} is larger than this system allows; raise the limit, or write fewer frames`;
    case "ENAMETOOLONG":
      return "the name is too long for this file system; choose a shorter one";
    default:
      return undefined;
  }
}

function codeOf(cause: unknown): string | undefined {
  return (cause as NodeJS.ErrnoException | undefined)?.code;
}

function outputError(message: string, cause?: unknown): StillmotionError {
  return new StillmotionError("output", message, { cause });
}
