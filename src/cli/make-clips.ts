/** How does a run go, from the words of the command line to the files? In the order in which things can go wrong early. */
import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { describeEngine } from "../engine/ort-probe.ts";
import type { Image } from "../image/image.ts";
import { type LoadImageOptions, loadImage } from "../image/load-image.ts";
import { toImages } from "../pipeline/decode.ts";
import { parseSettings } from "../pipeline/parse-settings.ts";
import type { Settings } from "../pipeline/resolve-settings.ts";
import { type FromPretrainedOptions, StableVideoDiffusionPipeline } from "../pipeline/stable-video-diffusion.ts";
import { type FloatTensor, floatTensor } from "../tensor.ts";
import type { ClipData } from "../video/clip.ts";
import { exportToVideo } from "../video/export.ts";
import { chooseFit } from "./choose-fit.ts";
import { checkOutputs, outputPaths } from "./outputs.ts";
import { packageVersion } from "./package-files.ts";
import { readLatents } from "./read-latents.ts";
import type { Reporter, WrittenFiles } from "./report/reporter.ts";

export interface ClipsJob {
  /** Paths or URLs. */
  readonly images: readonly string[];
  /** One path a format. */
  readonly outputs: readonly string[];
  /** By the names of the pipeline's options; `latents` is the path of a file. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** A path, or a name on the hub. */
  readonly model: string;
  readonly pipelineOptions: FromPretrainedOptions;
  readonly imageLimits: LoadImageOptions;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

export async function makeClips(job: ClipsJob): Promise<void> {
  const { reporter, signal } = job;
  const { latents: latentsFile, ...flags } = job.settings;
  const given = parseSettings("generate", flags);
  const paths = outputPaths(job.outputs, job.images.length * (given.numVideosPerPrompt ?? 1));
  await checkOutputs(paths.flat(), job.images, given.fps);
  const images: Image[] = [];
  for (const image of job.images) images.push(await loadImage(image, { ...job.imageLimits, signal }));
  const latents = latentsFile === undefined ? undefined : await readLatents(String(latentsFile));

  const pipeline = await StableVideoDiffusionPipeline.fromPretrained(job.model, {
    ...job.pipelineOptions,
    onProgress: reporter.progress,
  });
  try {
    const settings = { ...pipeline.settingsFor({ ...given, ...fitOf(pipeline, images, job) }) };
    // The preset may make more clips, or play them at a rate that a format cannot hold.
    const clips = images.length * settings.numVideosPerPrompt;
    const clipPaths = outputPaths(job.outputs, clips);
    await checkOutputs(clipPaths.flat(), job.images, settings.fps);
    const model = modelName(pipeline.checkpoint.folder);
    for (const note of pipeline.checkpoint.assumptions ?? []) reporter.note(note);
    for (const warning of pipeline.warningsFor(settings)) reporter.note(warning);
    const preset = pipeline.preset.name;
    reporter.start({ model, preset, settings, clips, seedWasGiven: given.seed !== undefined });

    const result = await pipeline.generate(images, { ...settings, latents, outputType: "floats", signal });
    const parts = { ...unetOf(job.pipelineOptions), ...lorasOf(job.pipelineOptions) };
    const { dtype } = pipeline;
    const metadata = { ...result.settings, model, preset, dtype, ...parts, ...versions(job.pipelineOptions) };
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

/** The fit that was chosen for the person; nothing where they or the checkpoint chose. */
function fitOf(pipeline: StableVideoDiffusionPipeline, images: readonly Image[], job: ClipsJob): Partial<Settings> {
  if (job.settings.fit !== undefined || pipeline.preset.settings.fit !== undefined) return {};
  const pictures = images.map((size, index) => ({ name: pictureName(job.images[index]!), size }));
  const { fit, notes } = chooseFit(pictures, pipeline.settingsFor(withoutLatents(job.settings)));
  for (const note of notes) job.reporter.note(note);
  return { fit };
}

function withoutLatents({ latents: _, ...settings }: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return settings;
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

/** The folder's name; in the Hugging Face cache that of the repository. */
function modelName(folder: string): string {
  const path = resolve(folder);
  const cached = /[/\\]models--([^/\\]+)[/\\]snapshots[/\\]/.exec(path);
  return cached ? cached[1]!.replace("--", "/") : basename(path);
}

/** The last part of a path or of a URL without its query. */
function pictureName(image: string): string {
  return basename(/^https?:/i.test(image) && URL.canParse(image) ? new URL(image).pathname : image) || image;
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
