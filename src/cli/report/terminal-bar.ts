/** What does a person see of a run? One line on stderr that is drawn again and again, and the files at the end. */
import { printLine, redrawLine } from "../terminal.ts";
import { progressLine } from "./progress-line.ts";
import type { Reporter } from "./reporter.ts";
import { fileLines, planLine, seedLine } from "./run-lines.ts";
import { stageClock } from "./stage-clock.ts";

const redrawMs = 100;

export function terminalReporter(): Reporter {
  const output = process.stderr;
  const clock = stageClock();
  let timer: NodeJS.Timeout | undefined;

  const draw = () => {
    const times = clock.times();
    if (!times) return;
    redrawLine(output, progressLine(times, output.columns || 80));
  };
  const erase = () => {
    clearInterval(timer);
    if (timer) redrawLine(output);
    timer = undefined;
  };
  return {
    note(message) {
      erase();
      printLine(output, message);
    },
    start(plan) {
      printLine(output, planLine(plan));
      if (!plan.seedWasGiven) printLine(output, seedLine(plan));
    },
    progress(event) {
      if (event.state === "released" || event.state === "kept") return;
      clock.take(event);
      timer ??= setInterval(draw, redrawMs).unref();
    },
    finish(result) {
      erase();
      if (!process.stdout.isTTY) {
        for (const path of result.files.flatMap(({ paths }) => paths)) printLine(process.stdout, path);
      }
      for (const line of fileLines(result)) printLine(output, line);
    },
    stopped({ message }) {
      erase();
      printLine(output, message);
    },
    close: erase,
  };
}
