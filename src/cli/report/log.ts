/** What does a log hear of a run? A few plain lines on stderr; the paths of the files on stdout. */
import { printLine } from "../terminal.ts";
import { secondsText } from "../units.ts";
import type { Reporter } from "./reporter.ts";
import { fileLines, planLine, seedLine } from "./run-lines.ts";
import { partNames, type StageTimes, stageClock } from "./stage-clock.ts";

/** The parts of a stage make at most one line in this time. */
const intervalMs = 10_000;

export function logReporter(): Reporter {
  const clock = stageClock();
  let lastLineAt = performance.now();
  const print = (line: string) => printLine(process.stderr, line);
  return {
    note: print,
    start(plan) {
      print(planLine(plan));
      if (!plan.seedWasGiven) print(seedLine(plan));
    },
    progress(event) {
      clock.take(event);
      const times = clock.times()!;
      if (times.state === "released" || times.state === "kept")
        print(`${times.stage}: ${secondsText(times.elapsedSeconds)}`);
      else if (times.done > 0 && performance.now() - lastLineAt >= intervalMs) print(partLine(times));
      else return;
      lastLineAt = performance.now();
    },
    finish(result) {
      for (const path of result.files.flatMap(({ paths }) => paths)) {
        if (!process.stdout.isTTY) printLine(process.stdout, path);
      }
      for (const line of fileLines(result)) print(line);
    },
    stopped: ({ message }) => print(message),
    close() {},
  };
}

function partLine({ stage, done, total, secondsPerPart = 0, secondsLeft = 0 }: StageTimes): string {
  const part = partNames[stage];
  return `${stage}: ${part} ${done}/${total}, ${secondsText(secondsPerPart)} a ${part}, ${secondsText(secondsLeft)} left`;
}
