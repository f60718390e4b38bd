/** What is a subject of the bench told, and what does it give? */
import { type CheckpointName, checkpointTitles } from "./checkpoints.ts";
import type { Section } from "./report.ts";

/** The size of a clip, in pixels. */
export interface ClipSize {
  readonly frames: number;
  readonly width: number;
  readonly height: number;
}

/** What is computed: a clip's size, and with which checkpoint. */
export interface Workload {
  readonly checkpoint: CheckpointName;
  readonly size: ClipSize;
}

export interface BenchOptions {
  /** Where checkpoints lie; made when missing. */
  readonly folder: string;
  /** For inputs, results and what is compiled; removed in the end. */
  readonly scratchFolder: string;
  /** Interpreter that has what reference/bench/requirements.txt names. */
  readonly python: string;
  readonly threads: number;
  /** In place of the subject's own workloads. */
  readonly workload?: Workload | undefined;
  /** Fresh processes a side. Default: the subject's. */
  readonly rounds?: number | undefined;
  /** Timed runs a process, after one warm-up. Default: the subject's. */
  readonly runs?: number | undefined;
  /** Denoising steps of a whole clip. */
  readonly steps: number;
  /** Names of the sides that compete, beside the first, which the others must agree with. Default: all. */
  readonly sides?: readonly string[] | undefined;
  /** How the bench was called, for the report. */
  readonly command: string;
  readonly log: (line: string) => void;
}

/** Answers one question, in one section of docs/benchmarks.md for each workload. */
export type Subject = (options: BenchOptions) => AsyncGenerator<Section>;

/** The heading of a section. */
export function titleOf(question: string, { checkpoint, size: { frames, width, height } }: Workload): string {
  return `${question}, ${checkpointTitles[checkpoint]}, ${frames} frames of ${width}x${height}`;
}
