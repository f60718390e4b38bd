/** How far is a run, how long does a part take, and how long will the rest take? Measured by the pipeline's progress events. */
import type { ProgressEvent, Stage } from "../../pipeline/progress.ts";

/** The stages of a run: those of the pipeline, then writing the files. */
export type RunStage = Stage | "export";

export interface RunProgress extends Omit<ProgressEvent, "stage"> {
  readonly stage: RunStage;
}

/** A moment of a run. */
export interface StageTimes {
  readonly stage: RunStage;
  readonly state: RunProgress["state"];
  readonly done: number;
  readonly total: number;
  /** Since the stage began, loading included. */
  readonly elapsedSeconds: number;
  /** Mean of the parts done so far; undefined before the first one is. */
  readonly secondsPerPart: number | undefined;
  /** For the parts of this stage that are left. */
  readonly secondsLeft: number | undefined;
}

/** What one part of a stage is called. */
export const partNames: Readonly<Record<RunStage, string>> = {
  "image encoder": "picture",
  "vae encoder": "picture",
  conditioning: "embedding",
  unet: "step",
  "vae decoder": "frame",
  export: "file",
};

/** Takes each event as it comes, and tells the times at any moment. `now` gives milliseconds. */
export function stageClock(now: () => number = () => performance.now()) {
  let last: RunProgress | undefined;
  let stageStart = 0;
  let partsStart = 0;
  let lastPart = 0;
  return {
    take(event: RunProgress): void {
      const time = now();
      if (event.stage !== last?.stage) stageStart = time;
      if (event.state === "running") {
        if (last?.state !== "running" || (event.done ?? 0) === 0) partsStart = time;
        lastPart = time;
      }
      last = event;
    },
    times(): StageTimes | undefined {
      if (!last) return undefined;
      const { stage, state, done = 0, total = 0 } = last;
      const time = now();
      const secondsPerPart = done > 0 ? (lastPart - partsStart) / 1000 / done : undefined;
      const sincePart = (time - lastPart) / 1000;
      const secondsLeft =
        secondsPerPart === undefined ? undefined : Math.max(0, secondsPerPart * (total - done) - sincePart);
      return { stage, state, done, total, elapsedSeconds: (time - stageStart) / 1000, secondsPerPart, secondsLeft };
    },
  };
}
