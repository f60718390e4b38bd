/** How does one process keep others off something? With a lock file, which tells whose it is and that its owner lives. */
import { readFileSync, readlinkSync, rmSync } from "node:fs";
import { open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";

const heartbeatMs = 5_000;
/** A lock that nobody touched for this long was left behind. */
const abandonedMs = 60_000;

export interface Lock {
  /** Safe to call twice. Not asynchronous, for the end of a process does not wait. */
  release(): void;
}

/** Another one has the lock. */
export interface HeldLock {
  readonly heldBy: LockHolder;
}

interface LockHolder {
  /** Undefined while the file is still being written. */
  readonly processId: number | undefined;
  readonly host: string;
}

/**
 * Makes the lock file, in place of one that was left behind. Rejects as the file system does where no file can be made.
 *
 * @returns the lock, or who has it
 */
export async function tryLock(path: string): Promise<Lock | HeldLock> {
  const text = ownText();
  if (!(await create(path, text)) && !((await removeAbandoned(path)) && (await create(path, text)))) {
    const { processId, host } = parse(textOf(path) ?? "");
    return { heldBy: { processId, host } };
  }
  const heartbeat = setInterval(() => {
    utimes(path, new Date(), new Date()).catch(() => {});
  }, heartbeatMs).unref();
  return {
    release() {
      clearInterval(heartbeat);
      try {
        if (textOf(path) === text) rmSync(path, { force: true });
      } catch {} // it is abandoned when its process ends
    },
  };
}

async function create(path: string, text: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    await file.writeFile(text).finally(() => file.close());
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw cause;
  }
}

/** Moved away first and looked at again, for another process may just have put a lock of its own there. */
async function removeAbandoned(path: string): Promise<boolean> {
  const aside = `${path}.${crypto.randomUUID()}`;
  try {
    const text = await readFile(path, "utf8");
    if (!(await isAbandoned(path, text))) return false;
    await rename(path, aside);
    if ((await readFile(aside, "utf8")) === text) {
      await rm(aside, { force: true });
      return true;
    }
    await rename(aside, path);
    return false;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "ENOENT"; // it has gone meanwhile
  }
}

async function isAbandoned(path: string, text: string): Promise<boolean> {
  const { mtimeMs } = await stat(path);
  if (Date.now() - mtimeMs > abandonedMs) return true;
  const { processId, host, processes = processNamespace() } = parse(text);
  const isHere = host === hostname() && processes === processNamespace();
  return isHere && processId !== undefined && !isRunning(processId);
}

function isRunning(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM";
  }
}

function ownText(): string {
  return [process.pid, hostname(), processNamespace()].join(" ");
}

function parse(text: string): LockHolder & { processes: string | undefined } {
  const [processId, host = "", processes] = text.split(" ");
  return { processId: processId ? Number(processId) : undefined, host, processes };
}

/** Containers of one host may share its name and not its process ids. */
function processNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return ""; // not Linux
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
