/** How long does one evaluation of SVD-XT's UNet take in fp32, and how much memory: ours against diffusers, eager? */
import { join } from "node:path";
import { type Contestant, contest } from "./contest.ts";
import type { Measurement } from "./measurement.ts";
import { contestTable, gigabytes, machine, ratio, type Section, seconds } from "./report.ts";
import { type ClipSize, prepareWorkload } from "./workload.ts";

export interface BenchOptions {
  /** Where the checkpoint and the results lie; made when missing. */
  readonly folder: string;
  /** Interpreter that has what reference/bench/requirements.txt names. */
  readonly python: string;
  /** Fresh processes a side. */
  readonly rounds: number;
  /** Timed steps a process, after one warm-up. */
  readonly runs: number;
  readonly threads: number;
  readonly size: ClipSize;
  /** How the bench was called, for the report. */
  readonly command: string;
  readonly log: (line: string) => void;
}

/** Of the results, relative L2: fp32 sums in another order differ by about 1e-6. */
const tolerance = 1e-4;

export async function benchUnet(options: BenchOptions): Promise<Section> {
  const { folder, python, rounds, threads, size, log } = options;
  const { unetFolder, inputsFile } = await prepareWorkload(folder, python, size);
  const args = (outputFile: string) => [
    ...[unetFolder, inputsFile, outputFile],
    ...["--threads", String(threads), "--runs", String(options.runs)],
  ];
  const contestants: Contestant[] = [
    {
      name: "diffusers eager fp32",
      program: python,
      args: (outputFile) => ["-m", "reference.bench.unet", ...args(outputFile)],
      outputFile: join(folder, "diffusers.safetensors"),
    },
    {
      name: "stillmotion fp32",
      program: process.execPath,
      args: (outputFile) => [join("bench", "unet-stillmotion.ts"), ...args(outputFile)],
      outputFile: join(folder, "stillmotion.safetensors"),
    },
  ];
  const result = await contest(contestants, {
    rounds,
    tolerance,
    onMeasurement: (name, { loadSeconds, stepSeconds, peakBytes }) =>
      log(
        `${name}: load ${seconds(loadSeconds)}, steps ${stepSeconds.map(seconds).join(" ")}, ${gigabytes(peakBytes)}`,
      ),
  });

  const [theirs, ours] = result.measurements as [Measurement[], Measurement[]];
  const names = contestants.map(({ name }) => name);
  const steps = ratio(theirs, ours, ({ stepSeconds }) => stepSeconds);
  const loads = ratio(theirs, ours, ({ loadSeconds }) => [loadSeconds]);
  const details = Object.entries({ ...theirs[0]!.details, ...ours[0]!.details });
  return {
    title: `UNet step, SVD-XT configuration, ${size.frames} frames of ${size.width}x${size.height}, fp32`,
    text: `${contestTable(names, result.measurements)}

diffusers / stillmotion: step ${steps.median} by median, ${steps.minimum} by minimum; load ${loads.median} by median.
Relative L2 of the result against diffusers: ${result.relativeErrors[1]!.toExponential(1)} (believed up to ${tolerance}).

${machine()}, ${threads} threads; ${details.map(([name, value]) => `${name} ${value}`).join(", ")}.
${new Date().toISOString().slice(0, 10)}, both sides in turn, processes each: ${rounds}, timed steps in each: ${options.runs}: \`${options.command}\`
`,
  };
}
