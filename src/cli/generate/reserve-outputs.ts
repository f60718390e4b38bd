/** How does a run keep other runs off the files that it writes? With a lock beside each, from before the work until its end. */
import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { StillmotionError } from "../../errors.ts";
import { targetPath } from "../../node/files/file-identity.ts";
import { type Lock, tryLock } from "../../node/files/lock.ts";
import { throwOutputError } from "../../node/video/write-file.ts";

export interface Reservation {
  /** Locks those of the files that are not locked yet. Throws `output` for one that another run has locked. */
  take(files: readonly string[]): Promise<void>;
  /** Safe to call twice. */
  release(): void;
}

/** @param signal also releases the locks: a process that is told to stop writes no more, and may be killed before it ends by itself */
export function reserveOutputs(signal: AbortSignal): Reservation {
  const locks = new Map<string, Lock>();
  const release = () => {
    for (const lock of locks.values()) lock.release();
    locks.clear();
    signal.removeEventListener("abort", release);
  };
  signal.addEventListener("abort", release);
  return {
    async take(files) {
      for (const file of files) {
        const target = await targetPath(file);
        if (locks.has(target)) continue;
        const lock = await lockOf(file, target);
        if (signal.aborted) lock.release();
        else locks.set(target, lock);
      }
    },
    release,
  };
}

async function lockOf(file: string, target: string): Promise<Lock> {
  const path = join(dirname(target), lockName(basename(target)));
  const lock = await tryLock(path).catch((cause) => throwOutputError(file, 0, cause));
  if (!("heldBy" in lock)) return lock;
  const { processId, host } = lock.heldBy;
  if (processId === process.pid) {
    throw new StillmotionError(
      "invalid-option",
      `--output: ${file} is given twice, in two spellings; choose another name`,
    );
  }
  throw new StillmotionError(
    "output",
    `${file}: another run is about to write it (process ${processId ?? "unknown"} on ${host || "an unknown host"}); ` +
      `wait for its end, or choose another name. If there is no such run, remove ${path}`,
  );
}

/** A longer file name is hashed, so that the lock's name does not become longer than file systems allow. */
const longestNameBytes = 200;

function lockName(name: string): string {
  const isLong = Buffer.byteLength(name) > longestNameBytes;
  return `.${isLong ? createHash("sha256").update(name).digest("hex") : name}.stillmotion-lock`;
}
