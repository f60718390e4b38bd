/** How does a run go, from the words of the command line to the files? */
import { basename } from "node:path";
import { describeEngine } from "../../engine/ort/probe.ts";
import { message, StillmotionError } from "../../errors.ts";
import { fileIdentity } from "../../node/files/file-identity.ts";
import type { FromPretrainedOptions } from "../../options/load-options.ts";
import { settingsToJson } from "../../options/options-json.ts";
import type { FloatTensor } from "../../tensor.ts";
import { packageVersion } from "../package-files.ts";
import type { Reporter } from "../report/reporter.ts";
import { chosenText, leftoverText, removedText } from "../report/run-lines.ts";
import { type OpenedRun, openRun, type RunRequest } from "../run/open-run.ts";
import { keepLatents } from "./keep-latents.ts";
import { leftoverFrames, removeFiles } from "./leftover-frames.ts";
import { reserveOutputs } from "./reserve-outputs.ts";
import { failureOf, type WrittenClips, writeClips } from "./write-clips.ts";

export interface ClipsJob extends Omit<RunRequest, "reserve"> {
  readonly reporter: Reporter;
  /** Whether pictures that an earlier, longer run left with higher numbers are kept. */
  readonly leftovers: "keep" | "remove";
}

export async function makeClips(job: ClipsJob): Promise<void> {
  const reservation = reserveOutputs(job.signal);
  try {
    const opened = await openRun({ ...job, reserve: reservation.take });
    await generateAndWrite(opened, job).finally(() => opened.pipeline.dispose());
  } finally {
    reservation.release();
  }
}

async function generateAndWrite(opened: OpenedRun, job: ClipsJob): Promise<void> {
  const { reporter, signal, maxMemory } = job;
  const { pipeline, images, latents, settings, clipPaths, chosen } = opened;
  if (maxMemory !== undefined) reporter.note(chosenText(maxMemory, chosen));
  reporter.start(opened);
  const metadata = { ...settingsToJson(settings), ...metadataOf(opened, job) };
  const keep = (denoised: FloatTensor, path: string) => keepLatents(denoised, path, { settings, metadata });
  let denoised: FloatTensor | undefined;
  const result = await pipeline
    .generate(images, {
      ...settings,
      latents,
      outputType: "floats",
      maxMemory,
      signal,
      onStep({ step, steps, latents }) {
        if (step === steps) denoised = latents;
      },
    })
    .catch(async (error) => {
      if (!(error instanceof StillmotionError) || signal.aborted || denoised === undefined) throw error;
      const kept = await keep(denoised, clipPaths[0]![0]!);
      throw new StillmotionError(error.code, message`${error.said}\n${kept}`, { cause: error });
    });
  const written = await writeClips({ result, clipPaths, metadata, reporter, signal });
  await tidyUp(written, opened, job);
  const { files, failures } = written;
  if (files.length > 0) reporter.finish({ files, settings, seconds: process.uptime() });
  if (failures.length > 0) throw failureOf(failures, await keep(result.latents, failures[0]!.path));
}

/** Looks for pictures of an earlier, longer run beside those that were just written. */
async function tidyUp({ files, numbered }: WrittenClips, { read, settings }: OpenedRun, job: ClipsJob): Promise<void> {
  const written = await Promise.all(files.flatMap(({ paths }) => paths).map(fileIdentity));
  const keep = new Set([...read.keys(), ...written]);
  const found: string[] = [];
  for (const path of numbered) found.push(...(await leftoverFrames(path, settings.numFrames, keep)));
  if (found.length === 0) return;
  if (job.leftovers === "keep") return job.reporter.note(leftoverText(found, settings.numFrames));
  const { removed, failures } = await removeFiles(found);
  if (removed.length > 0) job.reporter.note(removedText(removed));
  for (const failure of failures) job.reporter.note(failure);
}

function metadataOf(
  { pipeline, model, preset }: OpenedRun,
  { pipelineOptions }: Pick<ClipsJob, "pipelineOptions">,
): Record<string, unknown> {
  const { dtype, weightStorage } = pipeline;
  const parts = { ...unetOf(pipelineOptions), ...lorasOf(pipelineOptions) };
  return { model, preset, dtype, weightStorage, ...parts, ...versions(pipelineOptions) };
}

function unetOf({ unet }: FromPretrainedOptions): { unet?: string } {
  return unet === undefined ? {} : { unet: basename(unet) };
}

/** LoRAs as the command line spells them, without their folders. */
function lorasOf({ loras = [] }: FromPretrainedOptions): { loras?: string[] } {
  const texts = loras.map(
    (lora) => `${"path" in lora ? basename(lora.path) : (lora.name ?? "")}:${lora.strength ?? 1}`,
  );
  return texts.length === 0 ? {} : { loras: texts };
}

function versions(engine: Pick<FromPretrainedOptions, "libraryPath">): Record<string, string> {
  return { stillmotionVersion: packageVersion(), onnxruntimeVersion: describeEngine(engine).version };
}
