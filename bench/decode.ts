/** How long does the temporal decoder take, all frames at once: ours against diffusers, eager and compiled? */
import { benchCheckpoint } from "./checkpoints.ts";
import { contest } from "./contest.ts";
import { contestTable, ratioTable } from "./contest-report.ts";
import { decodeWindowsSection } from "./decode-windows.ts";
import { decodeInputs } from "./inputs.ts";
import { circumstances } from "./machine.ts";
import { type BenchOptions, titleOf, type Workload } from "./options.ts";
import type { Section } from "./report.ts";
import { entrants } from "./sides.ts";

const workloads: readonly Workload[] = [
  { checkpoint: "tiny", size: { frames: 8, width: 192, height: 128 } },
  { checkpoint: "svd-xt", size: { frames: 8, width: 448, height: 256 } },
];

/** Frames for the windows: with 14, a window of 8 is not all of them. */
const framesInWindows = 14;

export async function* benchDecode(options: BenchOptions): AsyncGenerator<Section> {
  const { workload } = options;
  for (const each of workload ? [workload] : workloads) yield await timeSection(options, each);
  for (const { checkpoint, size } of workload ? [workload] : workloads) {
    const frames = workload ? size.frames : framesInWindows;
    yield await decodeWindowsSection(options, { checkpoint, size: { ...size, frames } });
  }
}

async function timeSection(options: BenchOptions, workload: Workload): Promise<Section> {
  const { scratchFolder, rounds = 2, runs = 2, log } = options;
  const title = titleOf("VAE decode", workload);
  log(title);
  const checkpoint = await benchCheckpoint(workload.checkpoint, options);
  const inputsFile = await decodeInputs(scratchFolder, checkpoint, workload.size);
  const more = ["--window", String(workload.size.frames)];
  const call = { program: "decode", checkpoint: checkpoint.folder, inputsFile, runs, more } as const;
  // Our decoder computes in fp32 whatever the UNet does.
  const { contestants, absent } = await entrants(options, call, ({ isOurs, dtype, weightStorage }) => {
    return !isOurs || (dtype === "fp32" && !weightStorage);
  });
  const outcomes = await contest(contestants, { rounds, log });
  const text = `${contestTable(outcomes, "decode")}

${ratioTable(outcomes)}

All frames at once; ours loads the decoder in each run. Processes each: ${rounds}, timed decodes in each: ${runs}.${absent}

${circumstances(options, outcomes)}`;
  return { title, text };
}
