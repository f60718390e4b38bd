/** How long does a whole clip take through both pipelines, and how much of ours is spent outside ONNX Runtime? */
import { benchCheckpoint } from "./checkpoints.ts";
import { contest } from "./contest.ts";
import { contestTable, ratioTable } from "./contest-report.ts";
import { clipInputs } from "./inputs.ts";
import { circumstances } from "./machine.ts";
import { type BenchOptions, titleOf, type Workload } from "./options.ts";
import type { Section } from "./report.ts";
import { entrants } from "./sides.ts";

const workloads: readonly Workload[] = [
  { checkpoint: "tiny", size: { frames: 8, width: 192, height: 128 } },
  { checkpoint: "svd-xt", size: { frames: 14, width: 448, height: 256 } },
];

export async function* benchClip(options: BenchOptions): AsyncGenerator<Section> {
  const { scratchFolder, rounds = 1, runs = 1, steps, log } = options;
  for (const workload of options.workload ? [options.workload] : workloads) {
    const title = `${titleOf("Whole clip", workload)}, ${steps} steps`;
    log(title);
    const checkpoint = await benchCheckpoint(workload.checkpoint, options);
    const inputsFile = await clipInputs(scratchFolder, checkpoint, workload.size, runs);
    const { frames, width, height } = workload.size;
    // Names of Python's call, which ours takes as well; what is not named has the same default in both.
    const settings = { num_frames: frames, width, height, num_inference_steps: steps };
    const more = ["--settings", JSON.stringify(settings)];
    // Whole clips of the slowest side would take most of the time, so that the first one, of one step, has to do.
    const call = {
      program: "clip",
      checkpoint: checkpoint.folder,
      inputsFile,
      runs,
      runsToAgreeWith: 0,
      more,
    } as const;
    const { contestants, absent } = await entrants(options, call);
    const all = await contest(contestants, { rounds, log });
    const outcomes = all.filter(({ measurements }) => measurements.every(({ runSeconds }) => runSeconds.length > 0));
    const agreement =
      outcomes.length < all.length ? `\nDifferences are those of the first clip to ${all[0]!.name}.` : "";
    const outside = outcomes.flatMap(({ name, measurements }) => {
      const shares = measurements.flatMap(({ outsideShares = [] }) => outsideShares);
      return shares.length > 0 ? [`${name} ${(100 * Math.max(...shares)).toFixed(1)} %`] : [];
    });
    const text = `${contestTable(outcomes, "clip")}

${ratioTable(outcomes)}

From the picture to the frames, with guidance; the first clip has one step. Ours loads each network within the clip and
releases it, theirs holds all of them. Of our time outside ONNX Runtime, at most: ${outside.join(", ")}.
Processes each: ${rounds}, timed clips in each: ${runs}.${agreement}${absent}

${circumstances(options, outcomes)}`;
    yield { title, text };
  }
}
