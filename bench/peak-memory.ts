/** What is the most memory that this process ever held? Pages of mapped files count. */
import { readFileSync } from "node:fs";

/** Linux: VmHWM, which starts anew with each program; elsewhere what getrusage says. */
export function peakResidentBytes(): number {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS * 1024;
  const peak = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
  return Number(peak![1]) * 1024;
}
