/**
 * Which noise levels does a run go through, and what is the network told of each?
 *
 * Follows `set_timesteps` of diffusers 0.42.1 schedulers/scheduling_euler_discrete.py, in its order of float32 and float64
 * operations.
 */
import { type Message, message, option, StillmotionError } from "../errors.ts";
import { alignYourStepsSigmas } from "./align-your-steps.ts";
import { animateLcmSigmas } from "./animate-lcm.ts";
import type { EulerDiscreteConfig } from "./euler-discrete-config.ts";
import { variancePlusOne } from "./preconditioning.ts";
import { exponentialSigmas, interpolate, karrasSigmas, spacedTimesteps, timestepOf } from "./sigma-spacing.ts";
import { linspace, trainingSigmas } from "./training-sigmas.ts";

export { type EulerDiscreteConfig, eulerDiscreteConfig, type PredictionType } from "./euler-discrete-config.ts";

const { fround } = Math;

/** The noise levels of one run. */
export interface Schedule {
  /** Level before each step, falling, and the one after the last step: (steps + 1) values. */
  readonly sigmas: Float32Array;
  /** What the network is told at each step: (steps) values. */
  readonly timesteps: Float32Array;
  /** Standard deviation of the noise a run starts from. */
  readonly initNoiseSigma: number;
  /** What the network is told of a noise level, also of one between those of the steps. */
  readonly timestepAt: (sigma: number) => number;
}

/** Noise levels that every sampler takes by a name: those on the Karras curve, and those of Align Your Steps. */
export const sigmaSpacings = ["karras", "ays"] as const;

/** These, and AnimateLCM's own. */
export type NamedSigmas = (typeof sigmaSpacings)[number] | "animate-lcm";

/** The number of steps, or the noise levels themselves. */
export interface ScheduleOptions {
  /** 1 or more. */
  readonly steps?: number | undefined;
  /**
   * Falling noise levels, with the level after the last step at the end: n + 1 values make n steps. The last one is 0 for a clean
   * result. Or the name of a spacing, for `steps` steps. Default: as the configuration says.
   */
  readonly sigmas?: readonly number[] | NamedSigmas | undefined;
}

/**
 * The noise levels of a run (`set_timesteps` of the reference). With log-linear interpolation and continuous timesteps the
 * reference takes one step more than asked for; `timesteps.length` is the number of steps to take.
 *
 * @throws StillmotionError `invalid-option` when `numInferenceSteps` or `sigmas` cannot be used
 *
 * @example
 * const { sigmas, timesteps, initNoiseSigma } = schedule(config, { steps: 25 });
 */
export function schedule(config: EulerDiscreteConfig, options: ScheduleOptions): Schedule {
  const training = trainingSigmas(config);
  const { sigmas, discreteTimesteps } = levels(config, training, options);
  const isContinuous = config.timestepType === "continuous" && config.predictionType === "v_prediction";
  const timesteps = isContinuous ? sigmas.subarray(0, -1).map(continuousTimestep) : discreteTimesteps;
  const timestepAt = (sigma: number): number => {
    const known = timesteps[sigmas.indexOf(sigma)];
    return known ?? (isContinuous ? fround(continuousTimestep(fround(sigma))) : discreteTimestep(training, sigma));
  };

  const largest = sigmas.reduce((a, b) => Math.max(a, b));
  const startsAtFullNoise = config.timestepSpacing !== "leading";
  return {
    sigmas: sigmas.slice(0, timesteps.length + 1),
    timesteps,
    initNoiseSigma: startsAtFullNoise ? largest : fround(Math.sqrt(variancePlusOne(largest))),
    timestepAt,
  };
}

interface Levels {
  readonly sigmas: Float32Array;
  readonly discreteTimesteps: Float32Array;
}

function levels(
  config: EulerDiscreteConfig,
  training: Float32Array,
  { sigmas, steps: given }: ScheduleOptions,
): Levels {
  if (typeof sigmas === "object") return customLevels(training, sigmas, given);
  const steps = checkedSteps(given);
  switch (sigmas) {
    case undefined:
      return configuredLevels(config, training, steps);
    case "karras":
      return configuredLevels({ ...config, sigmaSpacing: "karras" }, training, steps);
    case "ays":
      return customLevels(training, alignYourStepsSigmas(steps), undefined);
    case "animate-lcm": {
      const { sigmaMin = training[0]!, sigmaMax = training.at(-1)!, rho } = config;
      return customLevels(training, animateLcmSigmas(sigmaMin, sigmaMax, steps, rho), undefined);
    }
  }
}

function checkedSteps(steps: number | undefined): number {
  if (steps !== undefined && Number.isSafeInteger(steps) && steps >= 1) return steps;
  throw new StillmotionError(
    "invalid-option",
    message`${option("numInferenceSteps")}: ${String(steps)} was given, expected a whole number from 1 on`,
  );
}

function configuredLevels(config: EulerDiscreteConfig, training: Float32Array, steps: number): Levels {
  const { sigmaSpacing, finalSigmasType } = config;
  let timesteps = spacedTimesteps(config, steps);
  let sigmas =
    config.interpolationType === "linear"
      ? timesteps.map((timestep) => interpolate(training, timestep))
      : Array.from(linspace(logOf(training.at(-1)!), logOf(training[0]!), steps + 1), (log) => fround(Math.exp(log)));

  if (sigmaSpacing !== "training") {
    const spaced = sigmaSpacing === "karras" ? karrasSigmas : exponentialSigmas;
    sigmas = spaced(config.sigmaMin ?? sigmas.at(-1)!, config.sigmaMax ?? sigmas[0]!, steps, config.rho);
    const logSigmas = training.map(Math.log);
    timesteps = sigmas.map((sigma) => timestepOf(Math.log(Math.max(sigma, 1e-10)), logSigmas, (x) => x));
  }
  const last = finalSigmasType === "zero" ? 0 : training[0]!;
  return { sigmas: Float32Array.from([...sigmas, last]), discreteTimesteps: Float32Array.from(timesteps) };
}

function customLevels(training: Float32Array, given: readonly number[], steps: number | undefined): Levels {
  const refuse = (problem: Message) => {
    throw new StillmotionError("invalid-option", message`${option("sigmas")}: ${problem}`);
  };
  if (given.length < 2)
    refuse(`${given.length} given, expected at least two levels, falling, such as 700, 15.9, 0.98, 0`);
  if (steps !== undefined && steps !== given.length - 1) {
    refuse(
      message`${given.length} levels make ${given.length - 1} steps, but ${option("numInferenceSteps")} is ${steps}; leave one of them out`,
    );
  }
  const sigmas = Float32Array.from(given);
  sigmas.forEach((sigma, i) => {
    const isLast = i === given.length - 1;
    const isLevel = typeof given[i] === "number" && sigma < 1e18 && (sigma > 0 || (isLast && given[i] === 0));
    const expected = isLast ? "a number of 0 or more" : "a number above 0";
    if (!isLevel) refuse(`number ${i + 1} is ${given[i]}, expected ${expected} and below 1e18`);
    if (i > 0 && !(given[i]! < given[i - 1]!)) {
      refuse(`number ${i + 1} is ${given[i]} after ${given[i - 1]}, expected each smaller than the one before`);
    }
  });
  return { sigmas, discreteTimesteps: sigmas.subarray(0, -1).map((sigma) => discreteTimestep(training, sigma)) };
}

function discreteTimestep(training: Float32Array, sigma: number): number {
  return fround(timestepOf(logOf(Math.max(sigma, fround(1e-10))), training.map(Math.log), fround));
}

/** c_noise of Karras et al. 2022, table 1. */
function continuousTimestep(sigma: number): number {
  return 0.25 * logOf(sigma);
}

function logOf(value: number): number {
  return fround(Math.log(value));
}
