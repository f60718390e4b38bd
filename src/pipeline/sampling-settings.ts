/** Do a call's options fit its sampler? What a preset means for another sampler, and which options mean nothing to one. */
import { StillmotionError } from "../errors.ts";
import { samplerNames, samplers } from "../schedulers/samplers.ts";
import { type GenerateSettings, generateDefaults, schedulerDefaults } from "./options.ts";

const churnNames = ["sChurn", "sTmin", "sTmax", "sNoise"] as const;

/**
 * The preset of a checkpoint as it holds for the sampler in force. A sampler with defaults of its own has them unless the
 * preset was made for that very sampler. An interval for guidance falls away where the caller turns guidance off.
 */
export function presetForScheduler(preset: GenerateSettings, given: GenerateSettings): GenerateSettings {
  const itsOwn = preset.scheduler ?? generateDefaults.scheduler;
  const scheduler = given.scheduler ?? itsOwn;
  checkChurn("preset.json", { ...preset, scheduler: itsOwn });
  checkGuidanceInterval("preset.json", preset);
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
  checkChurn("generate", settings);
  checkGuidanceInterval("generate", settings);
  const { scheduler = generateDefaults.scheduler, numInferenceSteps, sigmas } = settings;
  const { maxSteps } = samplers[scheduler];
  if (maxSteps === undefined || numInferenceSteps === undefined || Array.isArray(sigmas)) return;
  if (numInferenceSteps > maxSteps) {
    refuse("generate", `numInferenceSteps is ${numInferenceSteps}, expected 1 to ${maxSteps} for ${scheduler}`);
  }
}

function checkChurn(where: string, settings: GenerateSettings): void {
  const { scheduler = generateDefaults.scheduler, sChurn, sTmin = 0, sTmax = Number.POSITIVE_INFINITY } = settings;
  const first = churnNames.find((name) => settings[name] !== undefined);
  if (first === undefined) return;
  if (!samplers[scheduler].takesChurn) {
    const taking = samplerNames.filter((name) => samplers[name].takesChurn).join(" or ");
    refuse(where, `${first} is ${settings[first]}, but ${scheduler} has no churn; leave it out, or use ${taking}`);
  }
  if (sChurn === undefined) {
    refuse(where, `${first} is ${settings[first]} without sChurn, whose noise it shapes; give both or none`);
  }
  if (sTmin > sTmax) refuse(where, `sTmin is ${sTmin} and sTmax ${sTmax}, expected sTmin to be the smaller`);
}

function checkGuidanceInterval(where: string, settings: GenerateSettings): void {
  if (settings.guidanceInterval === undefined) return;
  const [low, high] = settings.guidanceInterval;
  const got = `guidanceInterval is [${low}, ${high}]`;
  if (low >= high) refuse(where, `${got}, expected the first noise level to be the smaller`);
  if (!hasGuidance(settings)) {
    refuse(
      where,
      `${got}, but no guidance scale is above 1, so that nothing is guided; leave it out, or raise maxGuidanceScale`,
    );
  }
}

/** As `isGuided` says of the scales: a single frame has the first one. */
function hasGuidance({
  minGuidanceScale = generateDefaults.minGuidanceScale,
  maxGuidanceScale = generateDefaults.maxGuidanceScale,
  numFrames,
}: GenerateSettings): boolean {
  return minGuidanceScale > 1 || (numFrames !== 1 && maxGuidanceScale > 1);
}

function refuse(where: string, problem: string): never {
  throw new StillmotionError("invalid-option", `${where}: ${problem}`);
}
