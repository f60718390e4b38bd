/** Where does a run set numbers aside? A little in memory, the rest in files that have no name and so cannot be left behind. */
import { accessSync, constants, existsSync, statfsSync, statSync } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesText } from "../byte-sizes.ts";

import { message, option, StillmotionError } from "../errors.ts";
import { type Scratch, type ScratchSpace, scratchInMemoryBytes } from "../streaming/scratch.ts";
import { freeSpaceBytes } from "./files/free-space.ts";

/**
 * @param given folder for the files. Default: the system's folder for temporary files, or `/var/tmp` where that one lies in
 *   memory
 * @param options.inMemoryBytes what all scratches together may hold in memory
 * @throws StillmotionError `invalid-option` when no file can be made in the folder that is given
 */
export function openScratchSpace(given?: string, { inMemoryBytes = scratchInMemoryBytes } = {}): ScratchSpace {
  if (given !== undefined) assertWritable(given);
  const folder = given ?? temporaryFolder();
  let heldBytes = 0;

  function inMemory(length: number): Scratch {
    let all = new Float32Array(length);
    heldBytes += all.byteLength;
    return {
      async read(first, into) {
        into.set(all.subarray(first, first + into.length));
      },
      async write(first, values) {
        all.set(values, first);
      },
      async release() {
        heldBytes -= all.byteLength;
        all = new Float32Array();
      },
    };
  }

  return {
    async create(length) {
      const sizeBytes = Float32Array.BYTES_PER_ELEMENT * length;
      return heldBytes + sizeBytes <= inMemoryBytes ? inMemory(length) : inFiles(folder, sizeBytes);
    },
    async assertFits(sizeBytes) {
      if (heldBytes + sizeBytes > inMemoryBytes) await assertFree(folder, sizeBytes);
    },
  };
}

function assertWritable(folder: string): void {
  try {
    if (!statSync(folder).isDirectory()) throw new Error("not a folder");
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    const problem = message`${option("scratchFolder")} is ${folder}, expected a folder in which files can be written`;
    throw new StillmotionError("invalid-option", problem, { cause });
  }
}

/**
 * Values lie in stripes, one after the other in as many files as Node has threads for them: the system lets one thread at a time
 * write to a file, and to copy what is written and read takes the thread's time.
 */
const filesOfScratch = 4;
const stripeBytes = 4 * 1024 * 1024;

async function inFiles(folder: string, sizeBytes: number): Promise<Scratch> {
  await assertFree(folder, sizeBytes);
  const files = await openAll(folder);
  return {
    read: (first, into) =>
      moveStripes(files, into, first, async (file, bytes, position) => {
        return (await file.read(bytes, 0, bytes.length, position)).bytesRead;
      }),
    write: (first, values) =>
      moveStripes(files, values, first, async (file, bytes, position) => {
        const { bytesWritten } = await file.write(bytes, 0, bytes.length, position).catch((cause) => {
          throw fullDisk.includes(cause.code) ? noSpace(folder, sizeBytes, undefined, cause) : cause;
        });
        return bytesWritten;
      }),
    release: () => closeAll(files),
  };
}

async function openAll(folder: string): Promise<FileHandle[]> {
  const files: FileHandle[] = [];
  try {
    while (files.length < filesOfScratch) files.push(await openWithoutName(folder));
    return files;
  } catch (error) {
    await closeAll(files);
    throw error;
  }
}

async function closeAll(files: readonly FileHandle[]): Promise<void> {
  await allDone(files.map((file) => file.close()));
}

const fullDisk = ["ENOSPC", "EDQUOT", "EFBIG"];

const anotherFolder = message`name another folder as ${option("scratchFolder")}`;

/** The file's name is taken off at once, so that it ends with the process, however that ends. */
async function openWithoutName(folder: string): Promise<FileHandle> {
  const path = join(folder, `stillmotion-${crypto.randomUUID()}.scratch`);
  try {
    const file = await open(path, "wx+", 0o600);
    await unlink(path);
    return file;
  } catch (cause) {
    const problem = `${folder}: no file can be written to set numbers aside (${(cause as Error).message})`;
    throw new StillmotionError("output", message`${problem}; ${anotherFolder}`, { cause });
  }
}

/** Moves some bytes of a file, and tells how many. */
type Move = (file: FileHandle, bytes: Uint8Array, position: number) => Promise<number>;

async function moveStripes(files: readonly FileHandle[], values: Float32Array, first: number, move: Move) {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const start = first * values.BYTES_PER_ELEMENT;
  const end = start + bytes.length;
  const moves: Promise<void>[] = [];
  for (let from = start; from < end; ) {
    const stripe = Math.floor(from / stripeBytes);
    const to = Math.min(end, (stripe + 1) * stripeBytes);
    const position = Math.floor(stripe / files.length) * stripeBytes + (from % stripeBytes);
    moves.push(moveAll(files[stripe % files.length]!, bytes.subarray(from - start, to - start), position, move));
    from = to;
  }
  await allDone(moves);
}

async function moveAll(file: FileHandle, bytes: Uint8Array, position: number, move: Move): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const moved = await move(file, bytes.subarray(done), position + done);
    if (moved === 0) throw new StillmotionError("internal", `scratch: nothing was moved at byte ${position + done}`);
    done += moved;
  }
}

/** Rejects as the first one did, when nothing is under way any more: the memory may then be given back. */
async function allDone(works: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(works);
  await Promise.all(works);
}

async function assertFree(folder: string, sizeBytes: number): Promise<void> {
  const freeBytes = await freeSpaceBytes(folder);
  if (freeBytes !== undefined && freeBytes < sizeBytes) throw noSpace(folder, sizeBytes, freeBytes);
}

function noSpace(folder: string, sizeBytes: number, free: number | undefined, cause?: unknown): StillmotionError {
  const problem = `${folder}: no space to set ${bytesText(sizeBytes)} aside`;
  const reason = free === undefined ? "the disk is full" : `${bytesText(free)} are free`;
  return new StillmotionError("output", message`${problem} (${reason}); free some, or ${anotherFolder}`, { cause });
}

/** Linux's `TMPFS_MAGIC` and `RAMFS_MAGIC`: file systems that lie in memory. */
const memoryFileSystems = [0x01021994, 0x858458f6];

/** @param preferred the system's folder for temporary files */
export function temporaryFolder(preferred = tmpdir()): string {
  const onDisk = "/var/tmp"; // by the Filesystem Hierarchy Standard, for files larger or longer-lived than those in /tmp
  return isInMemory(preferred) && existsSync(onDisk) && !isInMemory(onDisk) ? onDisk : preferred;
}

function isInMemory(folder: string): boolean {
  return process.platform === "linux" && existsSync(folder) && memoryFileSystems.includes(statfsSync(folder).type);
}
