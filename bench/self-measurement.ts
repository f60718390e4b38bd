/** How does a program of ours measure itself? The counterpart of reference/bench/measurement.py. */
import { createRequire } from "node:module";
import type { Measurement } from "./measurement.ts";
import { peakResidentBytes } from "./peak-memory.ts";

/** The options that every measured program takes, for `parseArgs`, beside CHECKPOINT INPUTS OUTPUT. */
export const commonOptions = {
  threads: { type: "string" },
  runs: { type: "string" },
  dtype: { type: "string" },
  "weight-storage": { type: "string" },
} as const;

export interface Stopwatch {
  readonly runSeconds: readonly number[];
  readonly runCpuSeconds: readonly number[];
  /** Seconds since it was started. */
  elapsed(): number;
  /** Measures one run by the clock, and by the time that the processors spent. */
  run<Result>(work: () => Promise<Result>): Promise<Result>;
}

export function startStopwatch(): Stopwatch {
  const started = performance.now();
  const runSeconds: number[] = [];
  const runCpuSeconds: number[] = [];
  return {
    runSeconds,
    runCpuSeconds,
    elapsed: () => (performance.now() - started) / 1000,
    async run(work) {
      const runStarted = performance.now();
      const cpuBefore = process.cpuUsage();
      const result = await work();
      runSeconds.push((performance.now() - runStarted) / 1000);
      const { user, system } = process.cpuUsage(cpuBefore);
      runCpuSeconds.push((user + system) / 1e6);
      return result;
    },
  };
}

/** Prints the one line of JSON that the bench reads. */
export function printMeasurement(
  { runSeconds, runCpuSeconds }: Stopwatch,
  others: Pick<Measurement, "loadSeconds" | "warmUpSeconds" | "denoiseSeconds" | "outsideShares">,
): void {
  const measurement: Measurement = {
    runSeconds,
    runCpuSeconds,
    peakBytes: peakResidentBytes(),
    versions: ownVersions(),
    ...others,
  };
  process.stdout.write(`${JSON.stringify(measurement)}\n`);
}

export function ownVersions(): Record<string, string> {
  const { version } = createRequire(import.meta.url)("onnxruntime-node/package.json") as { version: string };
  return { "onnxruntime-node": version, node: process.versions.node };
}
