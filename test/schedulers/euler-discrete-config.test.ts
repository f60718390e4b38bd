/** Golden: python -m reference.golden schedulers (reference/golden/schedulers.py), diffusers 0.42.1 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { StillmotionError } from "../../src/errors.ts";
import { eulerDiscreteConfig } from "../../src/schedulers/euler-discrete-config.ts";
import { readGolden } from "../support/golden.ts";

/** `scheduler_config.json` of the published SVD, SVD-XT and SVD-XT 1.1. */
const published = {
  _class_name: "EulerDiscreteScheduler",
  _diffusers_version: "0.24.0.dev0",
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  beta_start: 0.00085,
  clip_sample: false,
  interpolation_type: "linear",
  num_train_timesteps: 1000,
  prediction_type: "v_prediction",
  set_alpha_to_one: false,
  sigma_max: 700.0,
  sigma_min: 0.002,
  skip_prk_steps: true,
  steps_offset: 1,
  timestep_spacing: "leading",
  timestep_type: "continuous",
  trained_betas: null,
  use_karras_sigmas: true,
};

test("the published configuration is understood", () => {
  expect(eulerDiscreteConfig(published)).toEqual({
    numTrainTimesteps: 1000,
    betaStart: 0.00085,
    betaEnd: 0.012,
    betaSchedule: "scaled_linear",
    trainedBetas: undefined,
    predictionType: "v_prediction",
    interpolationType: "linear",
    sigmaSpacing: "karras",
    sigmaMin: 0.002,
    sigmaMax: 700,
    rho: 7,
    timestepSpacing: "leading",
    timestepType: "continuous",
    stepsOffset: 1,
    finalSigmasType: "zero",
  });
});

test("what is left out has the reference's default", () => {
  expect(eulerDiscreteConfig({})).toMatchObject({
    betaStart: 0.0001,
    betaEnd: 0.02,
    betaSchedule: "linear",
    predictionType: "epsilon",
    sigmaSpacing: "training",
    timestepSpacing: "linspace",
    timestepType: "discrete",
    stepsOffset: 0,
  });
});

test("the configurations of the stored checkpoints are understood", () => {
  const checkpoints = join(import.meta.dirname, "../checkpoints");
  for (const name of readdirSync(checkpoints)) {
    const path = join(checkpoints, name, "scheduler", "scheduler_config.json");
    expect(() => eulerDiscreteConfig(JSON.parse(readFileSync(path, "utf8")), path)).not.toThrow();
  }
});

test.each([
  [{ beta_schedule: "cosine" }, 'beta_schedule is "cosine", expected one of linear, scaled_linear, squaredcos_cap_v2'],
  [{ prediction_type: "flow" }, 'prediction_type is "flow", expected one of epsilon, v_prediction, sample'],
  [{ timestep_spacing: 7 }, "timestep_spacing is 7, expected one of linspace, leading, trailing"],
  [{ sigma_max: "700" }, 'sigma_max is "700", expected a number'],
  [{ sigma_min: 0 }, "sigma_min is 0, expected a number above 0"],
  [{ sigma_max: 1e30 }, "sigma_max is 1e+30, expected a number above 0 and below 1e18"],
  [{ sigma_min: 700, sigma_max: 2 }, "sigma_min is 700 and sigma_max 2, expected sigma_min < sigma_max"],
  [{ rho: 0 }, "rho is 0, expected a number above 0"],
  [{ steps_offset: 0.5 }, "steps_offset is 0.5, expected a whole number from 0 to 1000000"],
  [{ num_train_timesteps: 1e9 }, "num_train_timesteps is 1000000000, expected a whole number from 2 to 1000000"],
  [{ use_karras_sigmas: 1 }, "use_karras_sigmas is 1, expected true or false"],
  [{ trained_betas: ["a"] }, 'trained_betas is ["a"], expected a list of numbers'],
  [{ trained_betas: [0.1, 1] }, "trained_betas must lie between 0 and 1"],
  [{ trained_betas: [0.1] }, "trained_betas has fewer than 2 values"],
  [{ beta_end: 2 }, "beta_start is 0.0001 and beta_end 2, expected 0 < beta_start <= beta_end < 1"],
  [
    { use_karras_sigmas: true, use_exponential_sigmas: true },
    "use_karras_sigmas and use_exponential_sigmas are both true, expected one of them",
  ],
  ["a text", "expected an object with the sampler's options"],
  [null, "expected an object with the sampler's options"],
])("%j makes no sense", (config, message) => {
  const error = errorOf(config);
  expect(error.message).toBe(`scheduler/scheduler_config.json: ${message}`);
  expect(error.code).toBe("invalid-checkpoint");
});

test.each([
  [
    { use_beta_sigmas: true },
    "use_beta_sigmas is true, which is not supported; use_karras_sigmas and use_exponential_sigmas are",
  ],
  [{ rescale_betas_zero_snr: true }, "rescale_betas_zero_snr is true, which is not supported"],
  [{ solver_order: 2 }, "the option solver_order is not known to EulerDiscreteScheduler"],
  [{ _class_name: "DDIMScheduler" }, "is of class DDIMScheduler, expected EulerDiscreteScheduler"],
])("%j is not supported, and not ignored", (config, message) => {
  const error = errorOf(config);
  expect(error.message).toBe(`scheduler/scheduler_config.json: ${message}`);
  expect(error.code).toBe("unsupported");
});

test("the same options switched off are no error", () => {
  expect(() => eulerDiscreteConfig({ use_beta_sigmas: false, rescale_betas_zero_snr: null })).not.toThrow();
});

test("the reference's run with zero terminal SNR is refused", async () => {
  const { config } = await readGolden("schedulers", "golden", "zero-snr.safetensors");
  expect(() => eulerDiscreteConfig(config)).toThrow("rescale_betas_zero_snr");
});

function errorOf(config: unknown): StillmotionError {
  try {
    eulerDiscreteConfig(config, "scheduler/scheduler_config.json");
  } catch (error) {
    if (error instanceof StillmotionError) return error;
    throw error;
  }
  throw new Error("the configuration was accepted");
}
