/** What does a person see of a run? One line that is drawn again and again on stderr, and at the end the files. */
import { printLine, styled } from "../terminal.ts";
import { progressLine } from "./progress-line.ts";
import type { Reporter } from "./reporter.ts";
import { fileLines, planLine, seedLine } from "./run-lines.ts";
import { stageClock } from "./stage-clock.ts";

const redrawMs = 100;
const eraseLine = "\r\x1b[K";

export function terminalReporter(): Reporter {
  const output = process.stderr;
  const clock = stageClock();
  let timer: NodeJS.Timeout | undefined;

  const draw = () => {
    const times = clock.times();
    if (!times || !output.writable) return;
    const line = progressLine(times, output.columns || 80);
    output.write(eraseLine + line.replace(/█+/, (filled) => styled(output, "cyan", filled)));
  };
  const erase = () => {
    clearInterval(timer);
    if (timer && output.writable) output.write(eraseLine);
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
      const lines = process.stdout.isTTY ? process.stdout : output;
      for (const line of fileLines(result)) printLine(lines, line);
    },
    stopped({ message }) {
      erase();
      printLine(output, message);
    },
    close: erase,
  };
}
