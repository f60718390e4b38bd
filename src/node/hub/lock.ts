/**
 * How do two processes stay out of each other's way? The first makes a lock file, the others wait for it to go.
 *
 * Nothing is damaged where a lock fails (a network file system, a machine that slept): pieces are written at their own
 * places in the file, and no file gets its name before its checksum was right.
 */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { pause } from "../../hub/hub-request.ts";
import { type Lock, tryLock } from "../files/lock.ts";

const pollMs = 100;

/** Runs alone among all that use the same lock file. */
export async function withLock<Result>(
  path: string,
  signal: AbortSignal | undefined,
  run: () => Promise<Result>,
): Promise<Result> {
  await mkdir(dirname(path), { recursive: true });
  const lock = await waitForLock(path, signal);
  try {
    return await run();
  } finally {
    lock.release();
  }
}

async function waitForLock(path: string, signal: AbortSignal | undefined): Promise<Lock> {
  for (;;) {
    const lock = await tryLock(path);
    if (!("heldBy" in lock)) return lock;
    await pause(pollMs, signal);
  }
}
