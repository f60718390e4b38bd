/** Which reporter does a run have? The flags and the terminal decide. */
import { canRedraw } from "../terminal.ts";
import { jsonReporter } from "./json.ts";
import { logReporter } from "./log.ts";
import type { Reporter } from "./reporter.ts";
import { terminalReporter } from "./terminal-bar.ts";

export function createReporter({ json, quiet }: { json?: boolean; quiet?: boolean }): Reporter {
  if (json) return jsonReporter();
  if (quiet) return silentReporter;
  return canRedraw(process.stderr) ? terminalReporter() : logReporter();
}

const silentReporter: Reporter = {
  note() {},
  start() {},
  progress() {},
  finish() {},
  stopped() {},
  close() {},
};
