/** What does decoding a few frames at a time save in memory, and what does it do to the picture: ours and theirs? */
import { bytesText } from "../src/byte-sizes.ts";
import type { FloatTensor } from "../src/tensor.ts";
import { benchCheckpoint } from "./checkpoints.ts";
import { type Contestant, contest } from "./contest.ts";
import { decodeInputs } from "./inputs.ts";
import { circumstances } from "./machine.ts";
import { type BenchOptions, titleOf, type Workload } from "./options.ts";
import { largestDifference, temporalDifference } from "./picture-quality.ts";
import { markdownTable, type Section, seconds } from "./report.ts";
import { entrants, type Side } from "./sides.ts";

const windows = [8, 2, 1];

/** One process for each window of each side: it decodes once, the decoder's loading included. */
export async function decodeWindowsSection(options: BenchOptions, workload: Workload): Promise<Section> {
  const { scratchFolder, log } = options;
  const { frames } = workload.size;
  const title = titleOf("VAE decode in windows", workload);
  log(title);
  const checkpoint = await benchCheckpoint(workload.checkpoint, options);
  const inputsFile = await decodeInputs(scratchFolder, checkpoint, workload.size);
  const contestants: Contestant[] = [];
  const entries: { side: string; window: number }[] = [];
  for (const window of [frames, ...windows.filter((window) => window < frames)]) {
    const more = ["--window", String(window)];
    const call = { program: "decode", checkpoint: checkpoint.folder, inputsFile, runs: 0, more } as const;
    for (const { tolerance, ...contestant } of (await entrants(options, call, isEagerFp32)).contestants) {
      const name = `${contestant.name}, ${window === frames ? "all at once" : `window ${window}`}`;
      // All frames at once must agree; how far windows are from that is what the table tells.
      contestants.push({ ...contestant, name, ...(window === frames ? { tolerance } : {}) });
      entries.push({ side: contestant.name, window });
    }
  }
  const outcomes = await contest(contestants, { rounds: 1, log });

  const rows = entries.map(({ side, window }, index) => {
    const { measurements, results } = outcomes[index]!;
    const [measurement] = measurements;
    const atOnce = outcomes[entries.findIndex((entry) => entry.side === side && entry.window === frames)]!;
    const [got, expected] = [results, atOnce.results].map((result) => result.frames as FloatTensor) as [
      FloatTensor,
      FloatTensor,
    ];
    const isBorder = (frame: number) => frame % window === 0;
    return [
      ...[side, window === frames ? "all" : String(window)],
      ...[seconds(measurement!.loadSeconds + measurement!.warmUpSeconds), bytesText(measurement!.peakBytes, 2)],
      ...(window === frames
        ? ["", ""]
        : [largestDifference(got, expected).toExponential(1), temporalDifference(got, expected, isBorder).toFixed(3)]),
    ];
  });
  const header = ["side", "window", "load and decode", "peak memory", "largest difference", "at window borders"];
  const text = `${markdownTable([header, ...rows])}

Differences are those to the same side's decoding of all frames at once. The largest is of any value, in [0, 1]. At window
borders: how differently the picture changes from the last frame of a window to the first of the next, mean of all values,
in levels of 255; this is what flickers.

${circumstances(options, outcomes)}`;
  return { title, text };
}

function isEagerFp32({ dtype, isCompiled }: Side): boolean {
  return dtype === "fp32" && !isCompiled;
}
