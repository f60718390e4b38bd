/** How is a .safetensors file read? Only its header for checkpoints, all of it for small files. */
import { StillmotionError } from "../../errors.ts";
import { type Tensor, typedArray } from "../../tensor.ts";
import { type FileSource, type OpenFile, readInto } from "../file-source.ts";
import { decodeSafetensors } from "./safetensors.ts";
import {
  dataTypeOf,
  parseSafetensorsHeader,
  type SafetensorsEntry,
  type SafetensorsHeader,
  safetensorsHeaderBytes,
} from "./safetensors-header.ts";

/** Enough to recognise other kinds of file. */
const firstReadBytes = 64;
/** Several times the frames of the longest clip. */
const maxWholeBytes = 2 ** 31;

/**
 * Reads and checks the header of a .safetensors file, and that the file is as long as the header says. No tensor is read.
 *
 * @throws StillmotionError `invalid-checkpoint` or `unsupported`, as {@link parseSafetensorsHeader}
 */
export async function readSafetensorsHeader(files: FileSource, path: string): Promise<SafetensorsHeader> {
  const file = await openFile(files, path);
  try {
    return await readHeader(file, path);
  } finally {
    await file.close();
  }
}

/**
 * Reads some tensors of a .safetensors file into memory of the caller's.
 *
 * @param plan is given the header, and says where the bytes of each tensor go that is wanted; what it throws ends the reading
 * @returns the plan
 * @throws StillmotionError `invalid-checkpoint` or `unsupported`, as {@link parseSafetensorsHeader}
 */
export async function readTensorsInto<Plan extends { memory: ReadonlyMap<SafetensorsEntry, Uint8Array> }>(
  files: FileSource,
  path: string,
  plan: (header: SafetensorsHeader) => Plan,
): Promise<Plan> {
  const file = await openFile(files, path);
  try {
    const planned = plan(await readHeader(file, path));
    for (const [{ offset }, place] of planned.memory) await fill(file, place, offset, path);
    return planned;
  } finally {
    await file.close();
  }
}

/**
 * Reads a small .safetensors file whole.
 *
 * @returns tensors in memory of their own, and the file's metadata
 * @throws StillmotionError `invalid-checkpoint` or `unsupported`
 */
export async function readSafetensors(
  files: FileSource,
  path: string,
): Promise<{ tensors: Record<string, Tensor>; metadata: Readonly<Record<string, string>> }> {
  const file = await openFile(files, path);
  try {
    const fileSizeBytes = regularFileBytes(file, path);
    if (fileSizeBytes > maxWholeBytes) {
      const problem = `${path}: is ${fileSizeBytes} bytes long, at most ${maxWholeBytes} are read into memory`;
      throw new StillmotionError("invalid-checkpoint", problem);
    }
    return decodeSafetensors(await readStart(file, fileSizeBytes, path), path);
  } finally {
    await file.close();
  }
}

async function readHeader(file: OpenFile, path: string): Promise<SafetensorsHeader> {
  const fileSizeBytes = regularFileBytes(file, path);
  const start = await readStart(file, Math.min(firstReadBytes, fileSizeBytes), path);
  const headerBytes = safetensorsHeaderBytes(start, fileSizeBytes, path);
  return parseSafetensorsHeader(await readStart(file, headerBytes, path), fileSizeBytes, path);
}

/** Reads one tensor that {@link readSafetensorsHeader} has found. */
export async function readTensor(files: FileSource, path: string, entry: SafetensorsEntry): Promise<Tensor> {
  const dtype = dataTypeOf(entry, path);
  const file = await openFile(files, path);
  try {
    const bytes = new Uint8Array(entry.sizeBytes);
    await fill(file, bytes, entry.offset, path);
    return { dtype, shape: entry.shape, data: typedArray(dtype, bytes.buffer) };
  } finally {
    await file.close();
  }
}

/**
 * Reads a tensor piece by piece, in memory that is used again for the next.
 *
 * @param pieceBytes a multiple of the size of an element
 */
export async function* readPieces(
  files: FileSource,
  path: string,
  { offset, sizeBytes }: SafetensorsEntry,
  pieceBytes: number,
): AsyncGenerator<Uint8Array> {
  const file = await openFile(files, path);
  try {
    const memory = new Uint8Array(Math.min(pieceBytes, sizeBytes));
    for (let done = 0; done < sizeBytes; done += memory.length) {
      const piece = memory.subarray(0, Math.min(memory.length, sizeBytes - done));
      await fill(file, piece, offset + done, path);
      yield piece;
    }
  } finally {
    await file.close();
  }
}

async function openFile(files: FileSource, path: string): Promise<OpenFile> {
  try {
    return await files.open(path);
  } catch (cause) {
    const { reason } = files.problemOf(cause);
    throw new StillmotionError("invalid-checkpoint", `${path}: cannot be opened (${reason})`, { cause });
  }
}

function regularFileBytes({ kind, sizeBytes }: OpenFile, path: string): number {
  if (kind === "file") return sizeBytes;
  const found = kind === "folder" ? "a folder" : "not a regular file";
  throw new StillmotionError("invalid-checkpoint", `${path}: is ${found}, expected a .safetensors file`);
}

async function readStart(file: OpenFile, length: number, path: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await fill(file, bytes, 0, path);
  return bytes;
}

/** Fills `bytes` with those of the file from `start` on. */
async function fill(file: OpenFile, bytes: Uint8Array, start: number, path: string): Promise<void> {
  if ((await readInto(file, bytes, start)) === bytes.length) return;
  throw new StillmotionError("invalid-checkpoint", `${path}: became shorter while it was read`);
}
