/** What does whoever listens hear of a run? A person at a terminal, a log, a program that reads events, or nobody. */
import type { StillmotionError } from "../../errors.ts";
import type { Settings } from "../../options/resolve-settings.ts";
import type { RunProgress } from "./stage-clock.ts";

/** What is known before the work begins. */
export interface RunPlan {
  readonly model: string;
  /** The name of the preset that gives the settings that nobody gave. */
  readonly preset: string;
  readonly settings: Settings;
  readonly clips: number;
  readonly seedWasGiven: boolean;
}

/** The files of one clip in one format: several for PNG. */
export interface WrittenFiles {
  /** From 1. */
  readonly clip: number;
  readonly paths: readonly string[];
  readonly sizeBytes: number;
}

export interface RunResult {
  readonly files: readonly WrittenFiles[];
  readonly settings: Settings;
  /** The whole run, from the start of the command to the last file. */
  readonly seconds: number;
}

export interface Reporter {
  /** Something worth knowing that is no error. */
  note(message: string): void;
  start(plan: RunPlan): void;
  progress(event: RunProgress): void;
  finish(result: RunResult): void;
  /** A signal ended the run. */
  stopped(reason: StillmotionError): void;
  /** Leaves the terminal as it was found. */
  close(): void;
}
