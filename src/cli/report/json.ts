/** What does a program hear of a run? One JSON event a line on stdout, and nothing else there. */
import { printJson, printJsonProgress } from "../terminal.ts";
import type { Reporter } from "./reporter.ts";
import { partNames, stageClock } from "./stage-clock.ts";

/**
 * Events: `note` { message }, `start` { model, preset, clips, settings }, `stage` { stage, state }, `step` { stage, part, done,
 * total, secondsPerPart, secondsLeft }, `result` { files, frames, width, height, fps, seed, seconds }, `error` { code,
 * message, option, flag }, the last two only where one option is to blame: its name in the library, and its flag if it has one.
 * The last event is `result` or `error`.
 */
export function jsonReporter(): Reporter {
  const clock = stageClock();
  const emit = (event: string, fields: Readonly<Record<string, unknown>>) => {
    printJsonProgress({ event, ...fields });
  };
  return {
    note: (message) => emit("note", { message }),
    start: ({ model, preset, clips, settings }) => emit("start", { model, preset, clips, settings }),
    progress(event) {
      clock.take(event);
      const { stage, state } = event;
      if (state !== "running") return emit("stage", { stage, state });
      const { done, total, secondsPerPart, secondsLeft } = clock.times()!;
      emit("step", {
        stage,
        part: partNames[stage],
        done,
        total,
        secondsPerPart: milliseconds(secondsPerPart),
        secondsLeft: milliseconds(secondsLeft),
      });
    },
    finish({ files, settings, seconds }) {
      const { numFrames, width, height, fps, seed } = settings;
      const time = milliseconds(seconds);
      printJson({ event: "result", files, frames: numFrames, width, height, fps, seed, seconds: time });
    },
    stopped: ({ code, message }) => printJson({ event: "error", code, message }),
    close() {},
  };
}

/** Seconds to the millisecond. */
function milliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : Number(seconds.toFixed(3));
}
