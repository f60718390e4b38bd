/** Is there room for what is to be downloaded? Asked before the first byte, where the system can tell. */
import { message, option, StillmotionError } from "../../errors.ts";
import { freeSpaceBytes } from "../files/free-space.ts";

/** Throws `output` when the folder's file system has less room than needed. */
export async function assertSpace(folder: string, neededBytes: number): Promise<void> {
  const freeBytes = await freeSpaceBytes(folder);
  if (freeBytes !== undefined && freeBytes < neededBytes) throw noSpaceError(folder, neededBytes, freeBytes);
}

export function noSpaceError(
  folder: string,
  neededBytes: number,
  freeBytes: number | undefined,
  cause?: unknown,
): StillmotionError {
  const free = freeBytes === undefined ? "the disk is full" : `${sizeText(freeBytes)} are free`;
  const problem = message`${folder}: no space for ${sizeText(neededBytes)} (${free}); free some, or put the cache on another disk (HF_HOME, or the option ${option("cacheFolder")})`;
  return new StillmotionError("output", problem, { cause });
}

function sizeText(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
