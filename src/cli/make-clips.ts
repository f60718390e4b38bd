/** How does a run go, from the words of the command line to the files? */
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { describeEngine } from "../engine/ort-probe.ts";
import { toImages } from "../pipeline/decode.ts";
import { settingsToJson } from "../pipeline/options-json.ts";
import type { Settings } from "../pipeline/resolve-settings.ts";
import type { FromPretrainedOptions } from "../pipeline/stable-video-diffusion.ts";
import { type FloatTensor, floatTensor } from "../tensor.ts";
import type { ClipData } from "../video/clip.ts";
import { exportToVideo } from "../video/export.ts";
import { openRun, type RunRequest } from "./open-run.ts";
import { packageVersion } from "./package-files.ts";
import type { Reporter, WrittenFiles } from "./report/reporter.ts";
import { chosenText } from "./report/run-lines.ts";

export interface ClipsJob extends RunRequest {
  readonly reporter: Reporter;
}

export async function makeClips(job: ClipsJob): Promise<void> {
  const { reporter, signal, maxMemory } = job;
  const opened = await openRun(job);
  const { pipeline, images, latents, settings, clips, clipPaths, model, preset, chosen } = opened;
  try {
    if (maxMemory !== undefined) reporter.note(chosenText(maxMemory, chosen));
    reporter.start(opened);
    const result = await pipeline.generate(images, { ...settings, latents, outputType: "floats", maxMemory, signal });
    const parts = { ...unetOf(job.pipelineOptions), ...lorasOf(job.pipelineOptions) };
    const { dtype, weightStorage } = pipeline;
    const metadata = {
      ...settingsToJson(result.settings),
      model,
      preset,
      dtype,
      weightStorage,
      ...parts,
      ...versions(job.pipelineOptions),
    };
    const files: WrittenFiles[] = [];
    const total = clipPaths.flat().length;
    for (const [index, floatFrames] of result.frames.entries()) {
      const clip = { frames: toImages(floatFrames), floatFrames, latents: clipLatents(result.latents, index) };
      for (const path of clipPaths[index]!) {
        reporter.progress({ stage: "export", state: "running", done: files.length, total });
        const place = clips === 1 ? {} : { clip: index + 1, clips };
        files.push(await writeClip(clip, path, settings, { ...metadata, ...place }, index + 1, signal));
      }
    }
    reporter.finish({ files, settings, seconds: process.uptime() });
  } finally {
    await pipeline.dispose();
  }
}

async function writeClip(
  clip: ClipData,
  path: string,
  { fps }: Settings,
  metadata: Readonly<Record<string, unknown>>,
  number: number,
  signal: AbortSignal,
): Promise<WrittenFiles> {
  const paths = await exportToVideo(clip, path, { fps, metadata, signal });
  const sizes = await Promise.all(paths.map(async (each) => (await stat(each)).size));
  return { clip: number, paths, sizeBytes: sizes.reduce((sum, size) => sum + size, 0) };
}

/** (clips, frames, 4, height, width) -> (1, frames, 4, height, width). */
function clipLatents({ shape, data }: FloatTensor, clip: number): FloatTensor {
  const size = data.length / shape[0]!;
  return floatTensor([1, ...shape.slice(1)], data.slice(clip * size, (clip + 1) * size));
}

function unetOf({ unet }: FromPretrainedOptions): { unet?: string } {
  return unet === undefined ? {} : { unet: basename(unet) };
}

/** As they would be given on the command line, without their folders. */
function lorasOf({ loras = [] }: FromPretrainedOptions): { loras?: string[] } {
  const texts = loras.map(
    (lora) => `${"path" in lora ? basename(lora.path) : (lora.name ?? "")}:${lora.strength ?? 1}`,
  );
  return texts.length === 0 ? {} : { loras: texts };
}

function versions(engine: Pick<FromPretrainedOptions, "libraryPath">): Record<string, string> {
  return { stillmotionVersion: packageVersion(), onnxruntimeVersion: describeEngine(engine).version };
}
