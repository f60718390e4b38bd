/** What does each option that saves time cost in the picture? The built-in checkpoint, on photos that it has not seen. */
import type { FloatTensor } from "../src/tensor.ts";
import { type BenchCheckpoint, benchCheckpoint } from "./checkpoints.ts";
import { contest, type Outcome } from "./contest.ts";
import { ratios, runTimes } from "./contest-report.ts";
import { clipInputs, heldOutPhotos } from "./inputs.ts";
import { circumstances } from "./machine.ts";
import type { BenchOptions } from "./options.ts";
import { psnr, ssim, temporalDifference } from "./picture-quality.ts";
import { type QualityCase, qualityCases } from "./quality-options.ts";
import { markdownTable, type Section } from "./report.ts";
import { asContestant, type Call, type Side } from "./sides.ts";

/** Relative L2 of all pixels between our exact run and diffusers': sums in another order, over all steps. */
const tolerance = 1e-4;

export async function* benchQuality(options: BenchOptions): AsyncGenerator<Section> {
  const checkpoint = await benchCheckpoint("tiny", options);
  for (const each of qualityCases) yield await qualitySection(options, checkpoint, each);
}

/** Every clip is compared with that of `to`, the name of the run by the same program in which nothing is saved. */
interface Entry {
  readonly side: Side;
  readonly to: string;
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
  readonly more?: readonly string[];
}

async function qualitySection(options: BenchOptions, checkpoint: BenchCheckpoint, each: QualityCase): Promise<Section> {
  const { scratchFolder, rounds = 1, runs = (await heldOutPhotos()).length, log } = options;
  const title = `Quality, built-in checkpoint, ${each.name}`;
  log(title);
  const preset = pythonNames(checkpoint.preset);
  const { num_frames: frames, width, height } = preset as { num_frames: number; width: number; height: number };
  const inputsFile = await clipInputs(scratchFolder, checkpoint, { frames, width, height }, runs);
  const [theirs, ours] = ["diffusers fp32", "stillmotion fp32"];
  const entries: Entry[] = [
    { side: { name: theirs, isOurs: false, dtype: "fp32" }, to: theirs },
    { side: { name: ours, isOurs: true, dtype: "fp32" }, to: ours },
    ...each.options.map(
      ({ name, dtype = "fp32", weightStorage, settings }): Entry => ({
        side: { name, isOurs: true, dtype, ...(weightStorage && { weightStorage }) },
        to: ours,
        settings,
      }),
    ),
    { side: { name: "diffusers bf16", isOurs: false, dtype: "bf16" }, to: theirs },
    {
      side: { name: "diffusers bf16, UNet only", isOurs: false, dtype: "fp32" },
      to: theirs,
      more: ["--unet-dtype", "bf16"],
    },
  ];
  const contestants = entries.map(({ side, settings, more = [] }) => {
    const inForce = JSON.stringify({ ...preset, ...each.settings, ...settings });
    const call: Call = {
      program: "clip",
      checkpoint: checkpoint.folder,
      inputsFile,
      runs,
      more: ["--settings", inForce, ...more],
    };
    return { ...asContestant(options, side, call), ...(side.name === ours ? { tolerance } : {}) };
  });
  const outcomes = await contest(contestants, { rounds, log });
  const named = (name: string) => outcomes.find((outcome) => outcome.name === name)!;
  const rows = entries
    .filter(({ side, to }) => side.name !== to)
    .map(({ side, to }) => priceRow(named(side.name), named(to)));
  const header = ["run", "PSNR, mean", "PSNR, least", "SSIM", "temporal difference", "clip", "denoising"];
  const text = `${markdownTable([header, ...rows])}

Against the same program's fp32 run with ${each.name}, on ${runs} photos of test/photos, each with the same noise. Temporal
difference: how differently the picture changes from frame to frame, mean of all values, in levels of 255. Clip and
denoising: how many times as fast, by median. Processes each: ${rounds}, clips in each: ${runs}.
${ours} differs from ${theirs} by ${named(ours).difference.toExponential(1)} (relative L2).

${circumstances(options, outcomes)}`;
  return { title, text };
}

function priceRow(got: Outcome, expected: Outcome): string[] {
  const runs = Object.keys(expected.results).filter((name) => name !== "frames.first");
  const clips = runs.map((name) => [got, expected].map(({ results }) => results[name] as FloatTensor));
  const measured = (measure: (got: FloatTensor, expected: FloatTensor) => number) =>
    clips.map(([clip, exact]) => measure(clip!, exact!));
  const decibels = measured(psnr);
  const [clip, denoising] = [
    runTimes,
    ({ denoiseSeconds = [] }: Outcome["measurements"][number]) => denoiseSeconds,
  ].map((times) => `${ratios(expected.measurements, got.measurements, times)[0].toFixed(2)}`) as [string, string];
  return [
    got.name,
    inDecibels(mean(decibels)),
    inDecibels(Math.min(...decibels)),
    mean(measured(ssim)).toFixed(4),
    mean(measured(temporalDifference)).toFixed(2),
    clip,
    denoising,
  ];
}

function inDecibels(value: number): string {
  return value === Number.POSITIVE_INFINITY ? "equal" : `${value.toFixed(1)} dB`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** numFrames -> num_frames. */
function pythonNames(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}
