/** Do a call's options fit its sampler? What a preset means for another sampler, and which options mean nothing to one. */
import { type ErrorCode, type Message, message, StillmotionError } from "../errors.ts";
import { churnDefaults } from "../schedulers/churn.ts";
import { samplerNames, samplers } from "../schedulers/samplers.ts";
import { type GenerateSettings, generateDefaults, schedulerDefaults } from "./generate-options.ts";
import { type Origin, originOf } from "./parse-settings.ts";

const churnNames = ["sChurn", "sTmin", "sTmax", "sNoise"] as const;

/**
 * The preset of a checkpoint as it holds for the sampler in force. A sampler with defaults of its own has them unless the
 * preset was made for that very sampler. An interval for guidance falls away where the caller turns guidance off.
 */
export function presetForScheduler(preset: GenerateSettings, given: GenerateSettings): GenerateSettings {
  const itsOwn = preset.scheduler ?? generateDefaults.scheduler;
  const scheduler = given.scheduler ?? itsOwn;
  check({ ...preset, scheduler: itsOwn }, "preset.json", "invalid-checkpoint");
  const own = schedulerDefaults[scheduler] ?? {};
  const result = { ...own, ...preset, ...(scheduler === itsOwn ? {} : own), scheduler };
  if (!samplers[scheduler].takesChurn) for (const name of churnNames) delete result[name];
  if (!hasGuidance({ ...result, ...given })) delete result.guidanceInterval;
  return result;
}

/**
 * Throws `invalid-option` where the settings in force contradict their sampler.
 *
 * @param settings with a preset of {@link presetForScheduler}
 */
export function checkSampling(settings: GenerateSettings): void {
  const { start, named } = check(settings, "generate", "invalid-option");
  const { scheduler = generateDefaults.scheduler, numInferenceSteps, sigmas } = settings;
  const { maxSteps } = samplers[scheduler];
  if (maxSteps === undefined || numInferenceSteps === undefined || Array.isArray(sigmas)) return;
  if (numInferenceSteps > maxSteps) {
    const name = named("numInferenceSteps");
    const problem = message`${start}${name} is ${numInferenceSteps}, expected 1 to ${maxSteps} for ${scheduler}`;
    throw new StillmotionError("invalid-option", problem);
  }
}

/** @returns how further messages name the settings */
function check(settings: GenerateSettings, where: string, code: ErrorCode): Origin {
  const origin = originOf(where, code);
  const problem = churnProblem(settings, origin) ?? intervalProblem(settings, origin);
  if (problem !== undefined) throw new StillmotionError(code, message`${origin.start}${problem}`);
  return origin;
}

function churnProblem(settings: GenerateSettings, { named }: Origin): Message | undefined {
  const { scheduler = generateDefaults.scheduler, sChurn } = settings;
  const { sTmin = churnDefaults.sTmin, sTmax = churnDefaults.sTmax } = settings;
  const first = churnNames.find((name) => settings[name] !== undefined);
  if (first === undefined) return undefined;
  const got = message`${named(first)} is ${settings[first]!}`;
  if (!samplers[scheduler].takesChurn) {
    const taking = samplerNames.filter((name) => samplers[name].takesChurn).join(" or ");
    return message`${got}, but ${scheduler} has no churn; leave it out, or use ${taking}`;
  }
  if (sChurn === undefined) {
    return message`${got} without ${named("sChurn")}, whose noise it shapes; give both or none`;
  }
  if (sTmin <= sTmax) return undefined;
  const [lowest, highest] = [named("sTmin"), named("sTmax")];
  return message`${lowest} is ${sTmin} and ${highest} ${sTmax}, expected ${lowest} to be the smaller`;
}

function intervalProblem(settings: GenerateSettings, { named }: Origin): Message | undefined {
  if (settings.guidanceInterval === undefined) return undefined;
  const [low, high] = settings.guidanceInterval;
  const got = message`${named("guidanceInterval")} is [${low}, ${high}]`;
  if (low >= high) return message`${got}, expected the first noise level to be the smaller`;
  if (hasGuidance(settings)) return undefined;
  const mend = message`leave it out, or raise ${named("maxGuidanceScale")}`;
  return message`${got}, but no guidance scale is above 1, so that nothing is guided; ${mend}`;
}

/** As `isGuided` says of the scales: a single frame has the first one. */
function hasGuidance({
  minGuidanceScale = generateDefaults.minGuidanceScale,
  maxGuidanceScale = generateDefaults.maxGuidanceScale,
  numFrames,
}: GenerateSettings): boolean {
  return minGuidanceScale > 1 || (numFrames !== 1 && maxGuidanceScale > 1);
}
