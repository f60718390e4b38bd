/** How long is it from the UNet's files, stored in fp16, until the first step can begin, and until it is done? */
import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { bytesText } from "../src/byte-sizes.ts";
import { benchCheckpoint } from "./checkpoints.ts";
import { contest, type Outcome } from "./contest.ts";
import { ratioTable } from "./contest-report.ts";
import { unetInputs } from "./inputs.ts";
import { circumstances } from "./machine.ts";
import { median } from "./measurement.ts";
import { type BenchOptions, titleOf, type Workload } from "./options.ts";
import { markdownTable, type Section, seconds } from "./report.ts";
import { entrants } from "./sides.ts";

const standard: Workload = { checkpoint: "svd-xt", size: { frames: 8, width: 192, height: 128 } };

export async function* benchLoad(options: BenchOptions): AsyncGenerator<Section> {
  const { scratchFolder, rounds = 3, log, workload = standard } = options;
  const title = titleOf("Load", workload);
  log(title);
  const checkpoint = await benchCheckpoint(workload.checkpoint, options);
  const inputsFile = await unetInputs(scratchFolder, checkpoint, workload.size);
  const call = { program: "unet", checkpoint: checkpoint.folder, inputsFile, runs: 0 } as const;
  const { contestants } = await entrants(options, call, ({ isCompiled }) => !isCompiled);
  await readThrough(join(checkpoint.folder, "unet"));
  const outcomes = await contest(contestants, { rounds, log });
  const text = `${loadTable(outcomes)}

Until the first step can begin:

${ratioTable(outcomes, ({ loadSeconds }) => [loadSeconds])}

The UNet alone, its files in the system's cache; imports are left out. Processes each: ${rounds}.

${circumstances(options, outcomes)}`;
  yield { title, text };
}

function loadTable(outcomes: readonly Outcome[]): string {
  const header = ["side", "load, median", "load, minimum", "first step done, median", "peak memory"];
  const rows = outcomes.map(({ name, measurements }) => {
    const loads = measurements.map(({ loadSeconds }) => loadSeconds);
    return [
      ...[name, seconds(median(loads)), seconds(Math.min(...loads))],
      seconds(median(measurements.map(({ loadSeconds, warmUpSeconds }) => loadSeconds + warmUpSeconds))),
      bytesText(Math.max(...measurements.map(({ peakBytes }) => peakBytes)), 2),
    ];
  });
  return markdownTable([header, ...rows]);
}

/** Once, so that no side is the one that reads them from the disk. */
async function readThrough(folder: string): Promise<void> {
  for (const file of await readdir(folder)) {
    for await (const _ of createReadStream(join(folder, file), { highWaterMark: 2 ** 22 }));
  }
}
