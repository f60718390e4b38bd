/** What is the most memory that this process ever held? Pages of mapped files count. */
import { readFileSync, writeFileSync } from "node:fs";

/** Linux: VmHWM, which starts anew with each program; elsewhere what getrusage says. */
export function peakResidentBytes(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
  const peak = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
  return Number(peak![1]) * 1024;
}

/** From now on the peak is that of what follows. Only Linux can do it. */
export function resetPeak(): void {
  if (process.platform !== "linux") throw new Error("only Linux tells the peak memory of a part of a run");
  writeFileSync("/proc/self/clear_refs", "5");
}
