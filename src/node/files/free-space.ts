/** How much room does a file system have? */
import { statfs } from "node:fs/promises";

/** Bytes that this user may still write to the folder's file system; undefined where the system does not tell. */
export async function freeSpaceBytes(folder: string): Promise<number | undefined> {
  const stats = await statfs(folder).catch(() => undefined);
  if (!stats || stats.blocks === 0) return undefined; // as some network file systems answer
  return stats.bavail * stats.bsize;
}
