/** Shall a run outlive the terminal that it was started from? Yes under `nohup` and the like, which start it with SIGHUP ignored. */
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { isatty } from "node:tty";

/** Node undoes that SIGHUP is ignored before any of our code runs, so that it has to be told from other traces. */
export function surviveHangup(): void {
  if (isNohup() || parentIgnoresHangup() || isAwayFromTerminal()) process.on("SIGHUP", () => {});
}

/** Shells name the program that they start in `_`. */
function isNohup(): boolean {
  return /(^|\/)nohup$/.test(process.env._ ?? "");
}

/** True where the parent is a script that says `trap '' HUP`, as far as the system tells (Linux). */
function parentIgnoresHangup(): boolean {
  try {
    const status = readFileSync(`/proc/${process.ppid}/status`, "utf8");
    const ignored = /^SigIgn:\s*([0-9a-f]+)$/m.exec(status)?.[1];
    return ignored !== undefined && (BigInt(`0x${ignored}`) & 1n) === 1n; // bit 0 is signal 1, SIGHUP
  } catch {
    return false;
  }
}

/** True where there is a terminal, but input does not come from it and all output goes into files, as `nohup` leaves a program. */
function isAwayFromTerminal(): boolean {
  const goesIntoFile = (descriptor: number) => {
    const stats = fstatSync(descriptor);
    return !isatty(descriptor) && (stats.isFile() || stats.isCharacterDevice());
  };
  try {
    if (isatty(0) || !goesIntoFile(1) || !goesIntoFile(2)) return false;
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}
