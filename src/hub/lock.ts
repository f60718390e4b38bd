/**
 * How do two processes stay out of each other's way? The first makes a lock file, the others wait for it to go.
 *
 * Nothing is damaged where a lock fails (a network file system, a machine that slept): pieces are written at their own
 * places in the file, and no file gets its name before its checksum was right.
 */
import { mkdir, open, readFile, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { pause } from "./hub-request.ts";

const heartbeatMs = 5_000;
/** A lock that nobody touched for this long was left behind. */
const abandonedMs = 60_000;
const pollMs = 100;

/** Runs alone among all that use the same lock file. */
export async function withLock<Result>(
  path: string,
  signal: AbortSignal | undefined,
  run: () => Promise<Result>,
): Promise<Result> {
  await mkdir(dirname(path), { recursive: true });
  while (!(await tryLock(path))) {
    if (await isAbandoned(path)) await rm(path, { force: true });
    else await pause(pollMs, signal);
  }
  const heartbeat = setInterval(() => {
    utimes(path, new Date(), new Date()).catch(() => {});
  }, heartbeatMs).unref();
  try {
    return await run();
  } finally {
    clearInterval(heartbeat);
    await rm(path, { force: true });
  }
}

async function tryLock(path: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    await file.writeFile(`${process.pid} ${hostname()}`).finally(() => file.close());
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw cause;
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(path);
    if (Date.now() - mtimeMs > abandonedMs) return true;
    const [pid, host] = (await readFile(path, "utf8")).split(" ");
    return host === hostname() && !isRunning(Number(pid));
  } catch {
    return false; // it has gone meanwhile
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM";
  }
}
