/** Where do weights come from? What reading them asks of a platform: Node has a disk, a browser the files that a person drops on a page. */

/** Files in folders, by their paths. How a path is written is the platform's own matter. */
export interface FileSource {
  /** What lies at a path, links followed. Rejects where nothing does. */
  look(path: string): Promise<PathContent>;
  /** The names in a folder, in no particular order. */
  list(folder: string): Promise<readonly string[]>;
  /** Where a file really lies: in the Hugging Face cache the names in a checkpoint's folder are links. */
  realPlace(path: string): Promise<FilePlace>;
  /** Does not wait for what is no file, such as a named pipe: its kind tells. */
  open(path: string): Promise<OpenFile>;
  /** The path of what lies in a folder. */
  join(folder: string, ...names: readonly string[]): string;
  /** The folder and the name that a path consists of. */
  placeOf(path: string): FilePlace;
  /** What it means that one of these functions rejected. */
  problemOf(cause: unknown): FileProblem;
}

export interface PathContent {
  /** `other` is a device, a named pipe and the like. */
  readonly kind: "file" | "folder" | "other";
  /** Of a file. */
  readonly sizeBytes: number;
}

export interface FilePlace {
  readonly folder: string;
  readonly name: string;
}

/** What was opened. Close it. */
export interface OpenFile extends PathContent {
  /**
   * Reads from `offset` on, as much as is at hand.
   *
   * @returns the number of bytes that were read: 0 at the end of the file
   */
  read(into: Uint8Array, offset: number): Promise<number>;
  close(): Promise<void>;
}

interface FileProblem {
  /** True when the path, or a folder on its way, does not exist. */
  readonly isMissing: boolean;
  /** In words that can stand in brackets, such as `EACCES: permission denied`. */
  readonly reason: string;
}

/** What lies at a path; undefined for nothing, and for what cannot be looked at. */
export async function kindAt(files: FileSource, path: string): Promise<PathContent["kind"] | undefined> {
  return files.look(path).then(
    ({ kind }) => kind,
    () => undefined,
  );
}

/** The names in a folder; none for what is no folder, or cannot be read. */
export async function namesIn(files: FileSource, folder: string): Promise<readonly string[]> {
  return files.list(folder).catch(() => []);
}

/** Fills `into` with the bytes from `offset` on. Gives the number of bytes: fewer than wanted where the file ends. */
export async function readInto(file: OpenFile, into: Uint8Array, offset: number): Promise<number> {
  let filled = 0;
  while (filled < into.length) {
    const count = await file.read(into.subarray(filled), offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return filled;
}
