/** What does a checkpoint hold that may be damaged? Every part that can be read, and every problem met on the way. */
import { join } from "node:path";
import { StillmotionError } from "../../errors.ts";
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
export async function surveyCheckpoint(path: string, options: { variant?: string } = {}): Promise<CheckpointSurvey> {
  return (await isFile(path)) ? surveyFile(path, options) : surveyFolder(path, options);
}

async function surveyFile(path: string, options: { variant?: string }): Promise<CheckpointSurvey> {
  const { attempt, problems } = collector();
  const file = await readWeightsFile(path);
  const components: Component[] = [];
  for (const read of [imageEncoderOfFile, vaeOfFile, unetOfFile]) {
    const component = await attempt(() => read(file));
    if (component) components.push(component);
  }
  await attempt(() => openCheckpoint(path, options)); // what only shows in the whole, such as unknown tensors
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

async function surveyFolder(folder: string, options: { variant?: string }): Promise<CheckpointSurvey> {
  await listCheckpointFolder(folder);
  const { attempt, problems } = collector();
  const indexPath = join(folder, "model_index.json");
  const modelIndex = await attempt(() => readJsonFile(indexPath));
  if (modelIndex) {
    checkPipelineClass(modelIndex, indexPath); // of another model, nothing else would make sense
    await attempt(() => checkModelIndex(modelIndex, indexPath));
  }
  const components: Component[] = [];
  for (const name of ["image_encoder", "vae", "unet"] as const) {
    const component = await attempt(async () =>
      openComponent(folder, name, await listComponent(folder, name), options.variant),
    );
    if (component) components.push(component);
  }
  const scheduler = await attempt(() => readScheduler(folder, modelIndex ?? {}));
  const featureExtractor = await attempt(() => readFeatureExtractor(folder, modelIndex ?? {}));
  const survey = {
    components,
    schedulerConfig: scheduler?.config,
    featureExtractorConfig: featureExtractor?.config,
    preset: await attempt(() => readOptionalJsonFile(join(folder, "preset.json"))),
  };
  // What only shows in the whole, such as an unknown variant.
  const opened = await attempt(() => openCheckpoint(folder, options));
  return { ...survey, assumptions: opened?.assumptions ?? [], problems };
}
