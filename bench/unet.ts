/** How long does one evaluation of the UNet take, and how much memory: ours against diffusers, eager and compiled? */
import { benchCheckpoint } from "./checkpoints.ts";
import { contest } from "./contest.ts";
import { contestTable, ratioTable } from "./contest-report.ts";
import { unetInputs } from "./inputs.ts";
import { circumstances } from "./machine.ts";
import { type BenchOptions, titleOf, type Workload } from "./options.ts";
import type { Section } from "./report.ts";
import { entrants } from "./sides.ts";

const workloads: readonly Workload[] = [
  { checkpoint: "tiny", size: { frames: 8, width: 192, height: 128 } },
  { checkpoint: "svd-xt", size: { frames: 8, width: 192, height: 128 } },
  { checkpoint: "svd-xt", size: { frames: 14, width: 448, height: 256 } },
];

export async function* benchUnet(options: BenchOptions): AsyncGenerator<Section> {
  const { scratchFolder, rounds = 2, runs = 3, log } = options;
  for (const workload of options.workload ? [options.workload] : workloads) {
    const title = titleOf("UNet step", workload);
    log(title);
    const checkpoint = await benchCheckpoint(workload.checkpoint, options);
    const inputsFile = await unetInputs(scratchFolder, checkpoint, workload.size);
    const call = { program: "unet", checkpoint: checkpoint.folder, inputsFile, runs } as const;
    const { contestants, absent } = await entrants(options, call);
    const outcomes = await contest(contestants, { rounds, log });
    const text = `${contestTable(outcomes, "step")}

${ratioTable(outcomes)}

One evaluation, batch 1. Processes each: ${rounds}, timed steps in each: ${runs}.${absent}

${circumstances(options, outcomes)}`;
    yield { title, text };
  }
}
