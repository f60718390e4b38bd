/** What is shown of a download? A bar with speed and time left, a few lines in a log, or events for a program. */
import { bytesText } from "../../byte-sizes.ts";
import type { DownloadEvent } from "../../hub/progress.ts";
import { bar } from "../report/progress-line.ts";
import { canRedraw, printJsonProgress, printLine, redrawLine } from "../terminal.ts";
import { countText, secondsText } from "../units.ts";

export interface DownloadReporter {
  take(event: DownloadEvent): void;
  /** Leaves the terminal as it was found. */
  close(): void;
}

const redrawMs = 100;
const logMs = 10_000;

export function downloadReporter({ json, quiet }: { json?: boolean; quiet?: boolean }): DownloadReporter {
  if (json) return { take: (event) => printJsonProgress({ event: "download", ...event }), close() {} };
  if (quiet) return { take() {}, close() {} };
  return linesReporter();
}

/** How far all files together are. */
export interface DownloadTimes {
  readonly loaded: number;
  readonly total: number;
  /** Measured over the last seconds; undefined before anything came. */
  readonly bytesPerSecond: number | undefined;
  readonly secondsLeft: number | undefined;
}

/** Speed is measured over this long. */
const windowMs = 10_000;

/** Takes each event as it comes, and tells the times at any moment. `now` gives milliseconds. */
export function downloadClock(now: () => number = () => performance.now()) {
  const files = new Map<string, { loaded: number; total: number }>();
  const samples: { at: number; loaded: number }[] = [];
  const sum = (key: "loaded" | "total") => [...files.values()].reduce((all, file) => all + file[key], 0);
  return {
    take(event: DownloadEvent): void {
      if (event.status === "initiate") files.set(event.file, { loaded: 0, total: event.total });
      if (event.status !== "progress") return;
      const isFirst = files.get(event.file)?.loaded === 0;
      files.set(event.file, { loaded: event.loaded, total: event.total });
      // Bytes that an earlier call left do not count for the speed, nor do bytes that have to come again.
      const loaded = sum("loaded");
      if (isFirst || loaded < (samples.at(-1)?.loaded ?? 0)) samples.length = 0;
      samples.push({ at: now(), loaded });
      while (samples.length > 2 && samples.at(-1)!.at - samples[0]!.at > windowMs) samples.shift();
    },
    files: () => files.size,
    times(): DownloadTimes {
      const [loaded, total] = [sum("loaded"), sum("total")];
      const start = samples[0];
      const seconds = start ? (now() - start.at) / 1000 : 0;
      const bytesPerSecond = start && seconds > 0.2 ? (loaded - start.loaded) / seconds : undefined;
      const secondsLeft = bytesPerSecond ? (total - loaded) / bytesPerSecond : undefined;
      return { loaded, total, bytesPerSecond: bytesPerSecond || undefined, secondsLeft };
    },
  };
}

/**
 * E.g. `downloading  ██████████░░░░░░░░░░  1.2 GB of 4.8 GB  1 min 3 s left  58.1 MB/s`. What does not fit is left out.
 *
 * @param columns of the terminal; the line stays one shorter
 */
export function downloadLine(times: DownloadTimes, columns: number): string {
  const texts = textsOf(times);
  const label = "downloading";
  for (let shown = texts.length; shown >= 1; shown--) {
    const rest = texts.slice(0, shown).join("  ");
    const room = Math.min(40, columns - 1 - label.length - rest.length - 4);
    if (room >= 10) return `${label}  ${bar({ done: times.loaded, total: Math.max(1, times.total) }, room)}  ${rest}`;
  }
  return texts[0]!.slice(0, Math.max(0, columns - 1));
}

/** The texts of the line, the most needed first. */
function textsOf({ loaded, total, bytesPerSecond, secondsLeft }: DownloadTimes): string[] {
  const texts = [`${bytesText(loaded)} of ${bytesText(total)}`];
  if (secondsLeft !== undefined && bytesPerSecond !== undefined && loaded < total) {
    texts.push(`${secondsText(secondsLeft)} left`, `${bytesText(Math.round(bytesPerSecond))}/s`);
  }
  return texts;
}

function linesReporter(): DownloadReporter {
  const output = process.stderr;
  const isTerminal = canRedraw(output);
  const clock = downloadClock();
  let timer: NodeJS.Timeout | undefined;
  const draw = () => {
    if (!isTerminal) return printLine(output, `downloading: ${textsOf(clock.times()).join(", ")}`);
    redrawLine(output, downloadLine(clock.times(), output.columns || 80));
  };
  const close = () => {
    clearInterval(timer);
    if (timer && isTerminal) redrawLine(output);
    timer = undefined;
  };
  return {
    take(event) {
      clock.take(event);
      if (event.status === "initiate") timer ??= setInterval(draw, isTerminal ? redrawMs : logMs).unref();
      if (event.status !== "ready") return;
      close();
      if (clock.files() === 0) return;
      printLine(
        output,
        `${event.name}: downloaded ${countText(clock.files(), "file")}, ${bytesText(clock.times().total)}`,
      );
    },
    close,
  };
}
