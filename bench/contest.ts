/** Who is faster? Both sides in turn, A B A B, each time in a fresh process, and the times count only if the results agree. */
import { readFile } from "node:fs/promises";
import { decodeSafetensors } from "../src/weights/safetensors.ts";
import { type Measurement, relativeL2 } from "./measurement.ts";
import { runForJson } from "./process.ts";

/** A program that measures itself: called with the path where its result is to be written, it prints a `Measurement`. */
export interface Contestant {
  readonly name: string;
  readonly program: string;
  readonly args: (outputFile: string) => readonly string[];
  readonly outputFile: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface ContestResult {
  /** One list for each contestant, in their order, with one measurement a round. */
  readonly measurements: readonly (readonly Measurement[])[];
  /** Of the contestants' results against those of the first; the largest of all rounds. */
  readonly relativeErrors: readonly number[];
}

/**
 * Runs every contestant once a round. The first one's result is what the others must agree with.
 *
 * @throws Error when the relative L2 difference of a result is above `tolerance`
 */
export async function contest(
  contestants: readonly Contestant[],
  options: { rounds: number; tolerance: number; onMeasurement: (name: string, measurement: Measurement) => void },
): Promise<ContestResult> {
  const measurements: Measurement[][] = contestants.map(() => []);
  const relativeErrors = contestants.map(() => 0);
  for (let round = 0; round < options.rounds; round++) {
    let expected: Float32Array | undefined;
    for (const [index, { name, program, args, outputFile, environment }] of contestants.entries()) {
      const measurement = (await runForJson(program, args(outputFile), environment)) as Measurement;
      const result = await readResult(outputFile);
      expected ??= result;
      const relativeError = relativeL2(result, expected);
      if (!(relativeError <= options.tolerance)) {
        throw new Error(
          `${name} differs from ${contestants[0]!.name} by ${relativeError.toExponential(1)} (relative L2), ` +
            `more than ${options.tolerance}: its times mean nothing`,
        );
      }
      relativeErrors[index] = Math.max(relativeErrors[index]!, relativeError);
      measurements[index]!.push(measurement);
      options.onMeasurement(name, measurement);
    }
  }
  return { measurements, relativeErrors };
}

async function readResult(file: string): Promise<Float32Array> {
  const { tensors } = decodeSafetensors(await readFile(file), file);
  return tensors.sample!.data as Float32Array;
}
