/** What does a checkpoint hold that may be damaged? Every part that can be read, and every problem met on the way. */
import { StillmotionError } from "../../errors.ts";
import type { FileSource } from "../file-source.ts";
import { checkModelIndex, checkPipelineClass } from "../names/class-names.ts";
import { assumptionsOf, imageEncoderOfFile, readWeightsFile, unetOfFile, vaeOfFile } from "../single-file/open-file.ts";
import { publishedFeatureExtractor, publishedScheduler } from "../single-file/published-configs.ts";
import type { Component, JsonObject } from "../types.ts";
import { listComponent, openCheckpoint, openComponent, readFeatureExtractor, readScheduler } from "./checkpoint.ts";
import { readJsonFile, readOptionalJsonFile } from "./json-file.ts";
import { isFile, listCheckpointFolder } from "./not-a-checkpoint.ts";

/** The parts that could be read. */
export interface CheckpointSurvey {
  readonly components: readonly Component[];
  readonly schedulerConfig: JsonObject | undefined;
  readonly featureExtractorConfig: JsonObject | undefined;
  readonly preset: JsonObject | undefined;
  /** See {@link Checkpoint.assumptions}. */
  readonly assumptions: readonly string[];
  /** Empty for a checkpoint that {@link openCheckpoint} opens. */
  readonly problems: readonly string[];
}

/**
 * As {@link openCheckpoint}, but goes on after a problem.
 *
 * @throws StillmotionError when the path is no checkpoint's folder or file at all, or that of another model
 */
export async function surveyCheckpoint(
  files: FileSource,
  path: string,
  options: { variant?: string } = {},
): Promise<CheckpointSurvey> {
  return (await isFile(files, path)) ? surveyFile(files, path, options) : surveyFolder(files, path, options);
}

async function surveyFile(files: FileSource, path: string, options: { variant?: string }): Promise<CheckpointSurvey> {
  const { attempt, problems } = collector();
  const file = await readWeightsFile(files, path);
  const components: Component[] = [];
  for (const read of [imageEncoderOfFile, vaeOfFile, unetOfFile]) {
    const component = await attempt(() => read(file));
    if (component) components.push(component);
  }
  await attempt(() => openCheckpoint(files, path, options)); // what only shows in the whole, such as unknown tensors
  return {
    components,
    schedulerConfig: publishedScheduler,
    featureExtractorConfig: publishedFeatureExtractor,
    preset: undefined,
    assumptions: assumptionsOf(file),
    problems,
  };
}

/** Runs what may fail, and keeps the reasons. */
function collector() {
  const problems: string[] = [];
  const attempt = async <Result>(read: () => Result | Promise<Result>): Promise<Result | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof StillmotionError) || error.code === "internal") throw error;
      if (!problems.includes(error.message)) problems.push(error.message);
      return undefined;
    }
  };
  return { attempt, problems };
}

async function surveyFolder(
  files: FileSource,
  folder: string,
  options: { variant?: string },
): Promise<CheckpointSurvey> {
  await listCheckpointFolder(files, folder);
  const { attempt, problems } = collector();
  const indexPath = files.join(folder, "model_index.json");
  const modelIndex = await attempt(() => readJsonFile(files, indexPath));
  if (modelIndex) {
    checkPipelineClass(modelIndex, indexPath); // of another model, nothing else would make sense
    await attempt(() => checkModelIndex(modelIndex, indexPath));
  }
  const components: Component[] = [];
  for (const name of ["image_encoder", "vae", "unet"] as const) {
    const component = await attempt(async () =>
      openComponent(files, folder, name, await listComponent(files, folder, name), options.variant),
    );
    if (component) components.push(component);
  }
  const scheduler = await attempt(() => readScheduler(files, folder, modelIndex ?? {}));
  const featureExtractor = await attempt(() => readFeatureExtractor(files, folder, modelIndex ?? {}));
  const survey = {
    components,
    schedulerConfig: scheduler?.config,
    featureExtractorConfig: featureExtractor?.config,
    preset: await attempt(() => readOptionalJsonFile(files, files.join(folder, "preset.json"))),
  };
  // What only shows in the whole, such as an unknown variant.
  const opened = await attempt(() => openCheckpoint(files, folder, options));
  return { ...survey, assumptions: opened?.assumptions ?? [], problems };
}
