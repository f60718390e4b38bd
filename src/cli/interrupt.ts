/** What happens on Ctrl-C? The run is asked to stop. A second Ctrl-C, or a run that takes too long to stop, ends the process at once. */
import { constants } from "node:os";
import { StillmotionError } from "../errors.ts";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** So long a run may take to stop by itself. It leaves some of a second for the shell. */
const patienceMs = 900;

export interface Interrupt {
  /** Fires on the first signal. */
  readonly signal: AbortSignal;
  /** 128 + the number of the signal that came, as shells count; undefined when none came. */
  exitCode(): number | undefined;
  /** Gives the signals back to the system. */
  release(): void;
}

/**
 * Handles the process's signals until `release`, except those that already have a handler. A second signal, or a run that does not
 * end, is left to the system's own handling.
 */
export function onInterrupt(): Interrupt {
  const controller = new AbortController();
  const free = signals.filter((name) => process.listenerCount(name) === 0);
  let received: NodeJS.Signals | undefined;
  const handle = (name: NodeJS.Signals) => {
    release();
    received = name;
    controller.abort(new StillmotionError("aborted", `stopped by ${name}`));
    // A terminal that goes sends SIGHUP more than once, through the shell and from the system. That is nobody's impatience.
    if (name === "SIGHUP") process.on(name, ignore);
    setTimeout(() => {
      process.off(name, ignore);
      process.kill(process.pid, name);
    }, patienceMs).unref();
  };
  const release = () => {
    for (const name of free) process.off(name, handle);
  };
  for (const name of free) process.on(name, handle);
  return {
    signal: controller.signal,
    exitCode: () => (received === undefined ? undefined : 128 + constants.signals[received]),
    release,
  };
}

function ignore(): void {}
