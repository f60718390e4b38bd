/** How near is the memory that is estimated before a run to what each of its stages then takes? */
import { join } from "node:path";
import { benchCheckpoint, checkpointTitles } from "./checkpoints.ts";
import { clipInputs } from "./inputs.ts";
import { circumstances } from "./machine.ts";
import type { MemoryMeasurement } from "./memory-stillmotion.ts";
import type { BenchOptions, Workload } from "./options.ts";
import { runForJson } from "./process.ts";
import { bytesText } from "../src/byte-sizes.ts";
import { markdownTable, type Section } from "./report.ts";

const workloads: readonly Workload[] = [
  { checkpoint: "tiny", size: { frames: 8, width: 192, height: 128 } },
  { checkpoint: "svd-xt", size: { frames: 8, width: 192, height: 128 } },
  { checkpoint: "svd-xt", size: { frames: 14, width: 256, height: 256 } },
  { checkpoint: "svd-xt", size: { frames: 14, width: 448, height: 256 } },
];

export async function* benchMemory(options: BenchOptions): AsyncGenerator<Section> {
  const { scratchFolder, threads, log } = options;
  const title = "Memory, estimated and taken";
  log(title);
  const measurements: MemoryMeasurement[] = [];
  const rows: string[][] = [];
  for (const { checkpoint: name, size } of options.workload ? [options.workload] : workloads) {
    const checkpoint = await benchCheckpoint(name, options);
    const inputsFile = await clipInputs(scratchFolder, checkpoint, size, 1);
    const settings = { num_frames: size.frames, width: size.width, height: size.height, num_inference_steps: 1 };
    const args = [checkpoint.folder, inputsFile, "--threads", String(threads), "--settings", JSON.stringify(settings)];
    const program = join("bench", "memory-stillmotion.ts");
    const measurement = (await runForJson(process.execPath, [program, ...args])) as MemoryMeasurement;
    measurements.push(measurement);
    const clip = `${checkpointTitles[name]}, ${size.frames} frames of ${size.width}x${size.height}`;
    for (const { stage, estimatedBytes, peakBytes } of measurement.stages) {
      const ratio = (estimatedBytes / peakBytes).toFixed(2);
      rows.push([clip, stage, bytesText(estimatedBytes, 2), bytesText(peakBytes, 2), ratio]);
      log(rows.at(-1)!.join(", "));
    }
  }
  const header = ["clip", "stage", "estimated", "taken", "estimated / taken"];
  const text = `${markdownTable([header, ...rows])}

Taken: the most that the process held from when a stage was loaded until it was released, pages of mapped files included.

${circumstances(options, [{ measurements }])}`;
  yield { title, text };
}
