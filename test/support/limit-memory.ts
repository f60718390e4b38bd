/** How does a test run out of memory? In a process of its own, whose address space is limited while it runs. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Whether this system can. */
export const canLimitMemory = process.platform === "linux" && spawnSync("prlimit", ["--version"]).status === 0;

/** From now on this process may map so many bytes more; undefined for any number. V8 needs some for itself, or it ends. */
export function limitMemory(moreBytes: number | undefined): void {
  const taken = 1024 * Number(/^VmSize:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))![1]);
  const limit = moreBytes === undefined ? "unlimited" : taken + moreBytes;
  const { status, stderr } = spawnSync("prlimit", ["--pid", String(process.pid), `--as=${limit}:unlimited`]);
  if (status !== 0) throw new Error(`prlimit: ${stderr}`);
}
