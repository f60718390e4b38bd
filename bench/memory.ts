/** How near is what is planned before a run, memory and time, to what each of its stages then takes? */
import { join } from "node:path";
import { bytesText } from "../src/byte-sizes.ts";
import { benchCheckpoint, checkpointTitles } from "./checkpoints.ts";
import { clipInputs } from "./inputs.ts";
import { circumstances } from "./machine.ts";
import type { MemoryMeasurement } from "./memory-stillmotion.ts";
import type { BenchOptions, Workload } from "./options.ts";
import { runForJson } from "./process.ts";
import { markdownTable, type Section, seconds } from "./report.ts";

/** A clip, and how it is made. */
interface PlannedWorkload extends Workload {
  readonly dtype: "fp32" | "int8";
  /** Frames decoded at a time; all where absent. */
  readonly window?: number;
}

const workloads: readonly PlannedWorkload[] = [
  { checkpoint: "tiny", size: { frames: 8, width: 192, height: 128 }, dtype: "fp32" },
  { checkpoint: "tiny", size: { frames: 14, width: 512, height: 320 }, dtype: "fp32", window: 2 },
  { checkpoint: "svd-xt", size: { frames: 8, width: 192, height: 128 }, dtype: "fp32" },
  { checkpoint: "svd-xt", size: { frames: 8, width: 448, height: 256 }, dtype: "int8", window: 2 },
];

export async function* benchMemory(options: BenchOptions): AsyncGenerator<Section> {
  const { scratchFolder, threads, log } = options;
  const title = "Memory and time, planned and taken";
  log(title);
  const measurements: MemoryMeasurement[] = [];
  const rows: string[][] = [];
  const asked = options.workload;
  for (const workload of asked ? dtypesOf(asked) : workloads) {
    const { checkpoint: name, size, dtype, window } = workload;
    const checkpoint = await benchCheckpoint(name, options);
    const inputsFile = await clipInputs(scratchFolder, checkpoint, size, 1);
    const settings = {
      num_frames: size.frames,
      width: size.width,
      height: size.height,
      num_inference_steps: 1,
      decode_chunk_size: window ?? size.frames,
    };
    const machine = ["--threads", String(threads), "--dtype", dtype];
    const args = [checkpoint.folder, inputsFile, ...machine, "--settings", JSON.stringify(settings)];
    const program = join("bench", "memory-stillmotion.ts");
    const measurement = (await runForJson(process.execPath, [program, ...args])) as MemoryMeasurement;
    measurements.push(measurement);
    for (const { planned, peakBytes, seconds: taken } of measurement.stages) {
      const ratio = (planned.peakBytes / peakBytes).toFixed(2);
      const memory = [bytesText(planned.peakBytes, 2), bytesText(peakBytes, 2), ratio];
      const time = [seconds(planned.loadSeconds + planned.runSeconds), seconds(taken)];
      rows.push([clipName(workload), planned.stage, ...memory, ...time]);
      log(rows.at(-1)!.join(", "));
    }
  }
  const header = ["clip", "stage", "memory planned", "taken", "planned / taken", "time planned", "taken"];
  const text = `${markdownTable([header, ...rows])}

Memory: the most that the process held from when a stage was loaded until it was released, pages of mapped files included.
Planned by \`pipe.plan\` in the same process, after a calibration of a second or two; one step, guided.

${circumstances(options, [{ measurements }])}`;
  yield { title, text };
}

function dtypesOf(workload: Workload): PlannedWorkload[] {
  return (["fp32", "int8"] as const).map((dtype) => ({ ...workload, dtype }));
}

function clipName({ checkpoint, size: { frames, width, height }, dtype, window }: PlannedWorkload): string {
  const decoding = window === undefined ? "" : `, ${window} decoded at a time`;
  return `${checkpointTitles[checkpoint]} ${dtype}, ${frames} frames of ${width}x${height}${decoding}`;
}
