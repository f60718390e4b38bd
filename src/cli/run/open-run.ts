/** What is known before a run begins? Options, output paths, pictures, checkpoint and settings, in the order in which they can be wrong. */
import { basename, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Image } from "../../image/image.ts";
import { type LoadImageOptions, openPicture, type Picture } from "../../node/image/open-picture.ts";
import { StableVideoDiffusionPipeline } from "../../node/stable-video-diffusion.ts";
import { generateDefaults } from "../../options/generate-options.ts";
import type { FromPretrainedOptions } from "../../options/load-options.ts";
import { parseSettings } from "../../options/parse-settings.ts";
import type { Settings } from "../../options/resolve-settings.ts";
import type { FloatTensor } from "../../tensor.ts";
import { chooseFit } from "../generate/choose-fit.ts";
import { assertRoom, checkOutputs, outputPaths } from "../generate/outputs.ts";
import { pictureNotes, pictureOptions } from "../generate/picture-notes.ts";
import type { Reporter, RunPlan } from "../report/reporter.ts";
import { type FilesRead, filesRead } from "./files-read.ts";
import { readLatents } from "./read-latents.ts";

export interface RunRequest {
  /** Paths or URLs. */
  readonly images: readonly string[];
  /** One path a format. */
  readonly outputs: readonly string[];
  /** Settings, by the names of the pipeline's options; `latents` is the path of a file. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** A path, or a name on the hub. */
  readonly model: string;
  /** See the pipeline's option. */
  readonly maxMemory: string | undefined;
  readonly pipelineOptions: FromPretrainedOptions;
  /** The options that a flag gave. */
  readonly imageOptions: LoadImageOptions;
  readonly reporter: Pick<Reporter, "note" | "progress">;
  readonly signal: AbortSignal;
  /** Called with files that the run will write, one for each clip and format, before anything is loaded. */
  readonly reserve: (files: readonly string[]) => Promise<void>;
}

export interface OpenedRun extends RunPlan {
  readonly pipeline: StableVideoDiffusionPipeline;
  readonly images: readonly Image[];
  readonly latents: FloatTensor | undefined;
  /** The paths of each clip. */
  readonly clipPaths: readonly (readonly string[])[];
  readonly read: FilesRead;
  /** The settings that were changed to stay within the allowed memory. */
  readonly chosen: Partial<Settings>;
}

/** Call `pipeline.dispose` in the end. */
export async function openRun(request: RunRequest): Promise<OpenedRun> {
  const { reporter, signal } = request;
  const { latents: latentsFile, ...flags } = request.settings;
  const given = parseSettings("generate", flags);
  const inputs = { ...request, latents: latentsFile === undefined ? undefined : String(latentsFile) };
  const paths = outputPaths(
    request.outputs,
    request.images.length * (given.numVideosPerPrompt ?? generateDefaults.numVideosPerPrompt),
  );
  await checkAndReserve(paths.flat(), given, await filesRead(inputs), request);
  const pictures: Picture[] = [];
  for (const source of request.images) {
    const picture = await openPicture(source, { ...pictureOptions, ...request.imageOptions, signal });
    for (const note of pictureNotes(picture)) reporter.note(`${shortName(picture)} ${note}`);
    pictures.push(picture);
  }
  const images = pictures.map(({ image }) => image);
  const latents = inputs.latents === undefined ? undefined : await readLatents(inputs.latents);

  const pipeline = await StableVideoDiffusionPipeline.fromPretrained(request.model, {
    ...request.pipelineOptions,
    onProgress: reporter.progress,
  });
  try {
    const options = { ...given, ...fitOf(pipeline, pictures, request) };
    const usual = pipeline.settingsFor(options, images.length);
    const { maxMemory } = request;
    const settings = { ...pipeline.settingsFor({ ...options, seed: usual.seed, maxMemory }, images.length) };
    // The checkpoint may make more clips or frames, or play them at a rate that a format cannot hold.
    const clips = images.length * settings.numVideosPerPrompt;
    const clipPaths = outputPaths(request.outputs, clips);
    const read = await filesRead({ ...inputs, model: pipeline.checkpoint.folder });
    await checkAndReserve(clipPaths.flat(), settings, read, request);
    await assertRoom(clipPaths.flat(), settings);
    for (const note of pipeline.checkpoint.assumptions ?? []) reporter.note(note);
    for (const warning of pipeline.warningsFor(settings)) reporter.note(warning);
    return {
      pipeline,
      images,
      latents,
      clipPaths,
      read,
      settings,
      clips,
      chosen: differences(usual, settings),
      model: modelName(pipeline.checkpoint.folder),
      preset: pipeline.preset.name,
      seedWasGiven: given.seed !== undefined,
    };
  } catch (error) {
    await pipeline.dispose();
    throw error;
  }
}

async function checkAndReserve(
  paths: readonly string[],
  clip: Parameters<typeof checkOutputs>[1],
  read: FilesRead,
  { reserve }: RunRequest,
): Promise<void> {
  const files = await checkOutputs(paths, clip, read);
  await reserve(files.map(([first]) => first!));
}

/** The fit, where neither the person nor the checkpoint chose one; else nothing. */
function fitOf(
  pipeline: StableVideoDiffusionPipeline,
  pictures: readonly Picture[],
  request: RunRequest,
): Partial<Settings> {
  if (request.settings.fit !== undefined || pipeline.preset.settings.fit !== undefined) return {};
  const sizes = pictures.map((picture) => ({ name: shortName(picture), size: picture.image }));
  const { fit, notes } = chooseFit(sizes, pipeline.settingsFor(withoutLatents(request.settings)));
  for (const note of notes) request.reporter.note(note);
  return { fit };
}

function withoutLatents({ latents: _, ...settings }: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return settings;
}

/** The settings of `to` that differ from those of `from`. */
function differences(from: Settings, to: Settings): Partial<Settings> {
  const names = Object.keys(to) as (keyof Settings)[];
  const isOther = (name: keyof Settings) => !isDeepStrictEqual(to[name], from[name]);
  return Object.fromEntries(names.filter(isOther).map((name) => [name, to[name]]));
}

/** The folder's name; in the Hugging Face cache that of the repository. */
function modelName(folder: string): string {
  const path = resolve(folder);
  const cached = /[/\\]models--([^/\\]+)[/\\]snapshots[/\\]/.exec(path);
  return cached ? cached[1]!.replace("--", "/") : basename(path);
}

/** The last part of a path, or of a URL without its query. */
function shortName({ name }: Picture): string {
  return basename(name) || name;
}
