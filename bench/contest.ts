/** Who is faster? All sides in turn, A B A B, each time in a fresh process, and the times count only if the results agree. */
import { readFile } from "node:fs/promises";
import { bytesText } from "../src/byte-sizes.ts";
import type { Tensor } from "../src/tensor.ts";
import { decodeSafetensors } from "../src/weights/safetensors/safetensors.ts";
import { type Measurement, relativeL2 } from "./measurement.ts";
import { runForJson } from "./process.ts";
import { seconds } from "./report.ts";

/** A program that measures itself: it prints a `Measurement` and writes what it computed to `outputFile`. */
export interface Contestant {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly outputFile: string;
  /** How far its results may lie from the first contestant's, relative L2. Absent where they are judged in another way. */
  readonly tolerance?: number | undefined;
  readonly environment?: Readonly<Record<string, string>>;
}

export type Results = Readonly<Record<string, Tensor>>;

/** What came of one contestant. */
export interface Outcome {
  readonly name: string;
  /** Whether the others must agree with it. */
  readonly isFirst: boolean;
  /** One a round. */
  readonly measurements: readonly Measurement[];
  /** Relative L2 to the first contestant's results, the largest of all tensors and rounds. */
  readonly difference: number;
  readonly tolerance?: number | undefined;
  /** Of the last round. */
  readonly results: Results;
}

/**
 * Runs every contestant once a round. The first one's results are what the others must agree with.
 *
 * @throws Error when a contestant's results differ by more than its tolerance
 */
export async function contest(
  contestants: readonly Contestant[],
  { rounds, log }: { rounds: number; log: (line: string) => void },
): Promise<Outcome[]> {
  const outcomes = contestants.map(({ name, tolerance }, index) => ({
    name,
    isFirst: index === 0,
    tolerance,
    measurements: [] as Measurement[],
    difference: 0,
    results: {} as Results,
  }));
  for (let round = 0; round < rounds; round++) {
    for (const [index, { name, program, args, outputFile, environment }] of contestants.entries()) {
      const outcome = outcomes[index]!;
      const measurement = (await runForJson(program, args, environment)) as Measurement;
      outcome.results = decodeSafetensors(await readFile(outputFile), outputFile).tensors;
      const [first] = outcomes;
      // A first without runs has no results of them either.
      const isWithoutRuns = first!.measurements[0]?.runSeconds.length === 0;
      const compared = isWithoutRuns ? only(outcome.results, Object.keys(first!.results)) : outcome.results;
      const difference = largestDifference(compared, first!.results);
      assertAgrees(name, difference, outcome.tolerance, contestants[0]!.name);
      outcome.difference = Math.max(outcome.difference, difference);
      outcome.measurements.push(measurement);
      log(summary(name, measurement));
    }
  }
  return outcomes;
}

/** Throws when the difference is above the tolerance, or no number. */
function assertAgrees(name: string, difference: number, tolerance: number | undefined, expected: string): void {
  if (tolerance === undefined || difference <= tolerance) return;
  throw new Error(
    `${name} differs from ${expected} by ${difference.toExponential(1)} (relative L2), ` +
      `more than ${tolerance}: its times mean nothing`,
  );
}

function only(results: Results, names: readonly string[]): Results {
  return Object.fromEntries(Object.entries(results).filter(([name]) => names.includes(name)));
}

/** Relative L2 of the tensor that differs most; both must have the same tensors. */
export function largestDifference(got: Results, expected: Results): number {
  const [names, expectedNames] = [got, expected].map((results) => Object.keys(results).sort().join(", "));
  if (names !== expectedNames) throw new Error(`results are ${names}, expected ${expectedNames}`);
  return Math.max(...Object.keys(expected).map((name) => relativeL2(floats(got[name]!), floats(expected[name]!))));
}

function summary(name: string, { loadSeconds, warmUpSeconds, runSeconds, peakBytes }: Measurement): string {
  const runs = runSeconds.length > 0 ? `, then ${runSeconds.map(seconds).join(" ")}` : "";
  return `${name}: load ${seconds(loadSeconds)}, first ${seconds(warmUpSeconds)}${runs}; ${bytesText(peakBytes, 2)}`;
}

function floats({ data }: Tensor): Float32Array {
  if (data instanceof Float32Array) return data;
  throw new Error("a result is no float32 tensor");
}
