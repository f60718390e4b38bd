/** What does `scheduler_config.json` ask of the Euler sampler? Its options are checked here; none is ignored. */
import { StillmotionError } from "../errors.ts";

/** What the network's output means. */
export type PredictionType = "epsilon" | "v_prediction" | "sample";

/** The options of diffusers 0.42.1's `EulerDiscreteScheduler`, with its defaults filled in. */
export interface EulerDiscreteConfig {
  readonly numTrainTimesteps: number;
  readonly betaStart: number;
  readonly betaEnd: number;
  readonly betaSchedule: "linear" | "scaled_linear" | "squaredcos_cap_v2";
  /** Takes the place of the three options above where it is given. */
  readonly trainedBetas: readonly number[] | undefined;
  readonly predictionType: PredictionType;
  readonly interpolationType: "linear" | "log_linear";
  /** `training`: the sigmas the network was trained at, interpolated. */
  readonly sigmaSpacing: "training" | "karras" | "exponential";
  /** Ends of the Karras and exponential spacings; those of the training sigmas where undefined. */
  readonly sigmaMin: number | undefined;
  readonly sigmaMax: number | undefined;
  /** Curvature of the Karras spacing; diffusers fixes it at 7. */
  readonly rho: number;
  readonly timestepSpacing: "linspace" | "leading" | "trailing";
  readonly timestepType: "discrete" | "continuous";
  readonly stepsOffset: number;
  readonly finalSigmasType: "zero" | "sigma_min";
}

/** Options of other samplers, which published checkpoints carry along although the reference's Euler sampler has no such options. */
const withoutMeaning = ["clip_sample", "clip_sample_range", "set_alpha_to_one", "skip_prk_steps"];

/**
 * Checks the contents of a checkpoint's `scheduler_config.json`.
 *
 * @param where the file's path, for messages
 * @throws StillmotionError `invalid-checkpoint` for a value that makes no sense, `unsupported` for an option or a value
 *   that this version does not know
 *
 * @example
 * eulerDiscreteConfig({ use_karras_sigmas: true, sigma_min: 0.002, sigma_max: 700, prediction_type: "v_prediction" });
 */
export function eulerDiscreteConfig(config: unknown, where = "scheduler_config.json"): EulerDiscreteConfig {
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new StillmotionError("invalid-checkpoint", `${where}: expected an object with the sampler's options`);
  }
  const options = new Map(Object.entries(config).filter(([name]) => !name.startsWith("_")));
  const className = "_class_name" in config ? config._class_name : undefined;
  if (className !== undefined && className !== "EulerDiscreteScheduler") {
    throw new StillmotionError(
      "unsupported",
      `${where}: is of class ${String(className)}, expected EulerDiscreteScheduler`,
    );
  }
  for (const name of withoutMeaning) options.delete(name);

  const read = optionReader(options, where);
  const result: EulerDiscreteConfig = {
    numTrainTimesteps: read.count("num_train_timesteps", 1000, 2),
    betaStart: read.number("beta_start", 0.0001),
    betaEnd: read.number("beta_end", 0.02),
    betaSchedule: read.choice("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"]),
    trainedBetas: read.optionalNumbers("trained_betas"),
    predictionType: read.choice("prediction_type", ["epsilon", "v_prediction", "sample"]),
    interpolationType: read.choice("interpolation_type", ["linear", "log_linear"]),
    sigmaSpacing: sigmaSpacing(read, where),
    sigmaMin: read.optionalNumber("sigma_min"),
    sigmaMax: read.optionalNumber("sigma_max"),
    rho: read.number("rho", 7),
    timestepSpacing: read.choice("timestep_spacing", ["linspace", "leading", "trailing"]),
    timestepType: read.choice("timestep_type", ["discrete", "continuous"]),
    stepsOffset: read.count("steps_offset", 0, 0),
    finalSigmasType: read.choice("final_sigmas_type", ["zero", "sigma_min"]),
  };
  if (read.flag("rescale_betas_zero_snr")) {
    throw new StillmotionError("unsupported", `${where}: rescale_betas_zero_snr is true, which is not supported`);
  }
  const [unknown] = options.keys();
  if (unknown !== undefined) {
    throw new StillmotionError("unsupported", `${where}: the option ${unknown} is not known to EulerDiscreteScheduler`);
  }
  checkRanges(result, where);
  return result;
}

function sigmaSpacing(read: OptionReader, where: string): EulerDiscreteConfig["sigmaSpacing"] {
  const karras = read.flag("use_karras_sigmas");
  const exponential = read.flag("use_exponential_sigmas");
  if (read.flag("use_beta_sigmas")) {
    const problem = "use_beta_sigmas is true, which is not supported; use_karras_sigmas and use_exponential_sigmas are";
    throw new StillmotionError("unsupported", `${where}: ${problem}`);
  }
  if (karras && exponential) {
    const problem = "use_karras_sigmas and use_exponential_sigmas are both true, expected one of them";
    throw new StillmotionError("invalid-checkpoint", `${where}: ${problem}`);
  }
  return karras ? "karras" : exponential ? "exponential" : "training";
}

function checkRanges(config: EulerDiscreteConfig, where: string): void {
  const { betaStart, betaEnd, trainedBetas, sigmaMin, sigmaMax, rho } = config;
  const refuse = (problem: string) => {
    throw new StillmotionError("invalid-checkpoint", `${where}: ${problem}`);
  };
  if (!(betaStart > 0 && betaEnd < 1 && betaStart <= betaEnd)) {
    refuse(`beta_start is ${betaStart} and beta_end ${betaEnd}, expected 0 < beta_start <= beta_end < 1`);
  }
  if (trainedBetas?.some((beta) => !(beta > 0 && beta < 1))) refuse("trained_betas must lie between 0 and 1");
  if (trainedBetas && trainedBetas.length < 2) refuse("trained_betas has fewer than 2 values");
  if (sigmaMin !== undefined && !(sigmaMin > 0)) refuse(`sigma_min is ${sigmaMin}, expected a number above 0`);
  if (sigmaMax !== undefined && !(sigmaMax > 0 && sigmaMax < 1e18)) {
    refuse(`sigma_max is ${sigmaMax}, expected a number above 0 and below 1e18`);
  }
  if (sigmaMin !== undefined && sigmaMax !== undefined && sigmaMin >= sigmaMax) {
    refuse(`sigma_min is ${sigmaMin} and sigma_max ${sigmaMax}, expected sigma_min < sigma_max`);
  }
  if (!(rho > 0)) refuse(`rho is ${rho}, expected a number above 0`);
}

type OptionReader = ReturnType<typeof optionReader>;

/** Takes options out of the map one by one, so that the unknown ones are left over. */
function optionReader(options: Map<string, unknown>, where: string) {
  const take = (name: string): unknown => {
    const value = options.get(name);
    options.delete(name);
    return value ?? undefined;
  };
  const refuse = (name: string, value: unknown, expected: string): never => {
    const problem = `${name} is ${JSON.stringify(value)}, expected ${expected}`;
    throw new StillmotionError("invalid-checkpoint", `${where}: ${problem}`);
  };
  const optionalNumber = (name: string): number | undefined => {
    const value = take(name);
    if (value === undefined || (typeof value === "number" && Number.isFinite(value))) return value;
    return refuse(name, value, "a number");
  };
  return {
    optionalNumber,
    number: (name: string, otherwise: number): number => optionalNumber(name) ?? otherwise,
    count(name: string, otherwise: number, least: number): number {
      const value = take(name) ?? otherwise;
      if (typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= 1e6) return value;
      return refuse(name, value, `a whole number from ${least} to 1000000`);
    },
    flag(name: string): boolean {
      const value = take(name) ?? false;
      return typeof value === "boolean" ? value : refuse(name, value, "true or false");
    },
    /** One of `choices`; the first is the default. */
    choice<Choice extends string>(name: string, choices: readonly [Choice, ...Choice[]]): Choice {
      const value = take(name) ?? choices[0];
      const chosen = choices.find((choice) => choice === value);
      return chosen ?? refuse(name, value, `one of ${choices.join(", ")}`);
    },
    optionalNumbers(name: string): readonly number[] | undefined {
      const value = take(name);
      if (value === undefined) return undefined;
      const isNumbers = Array.isArray(value) && value.every((each) => typeof each === "number");
      return isNumbers ? value : refuse(name, Array.isArray(value) ? value.slice(0, 3) : value, "a list of numbers");
    },
  };
}
