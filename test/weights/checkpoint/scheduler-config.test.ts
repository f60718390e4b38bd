/** Is a checkpoint with another sampler run by Euler's, with what both have? */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { StillmotionError } from "../../../src/errors.ts";
import { openCheckpoint } from "../../../src/node/weights.ts";
import { eulerDiscreteConfig } from "../../../src/schedulers/euler-discrete.ts";
import { publishedScheduler } from "../../../src/weights/single-file/published-configs.ts";
import { checkpointCopy, editJson } from "../checkpoint-copy.ts";

/** What is in the file, as diffusers 0.42.1 writes it from the scheduler of models/tiny: with the options that it lacks. */
const common = {
  _diffusers_version: "0.42.1",
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  beta_start: 0.00085,
  num_train_timesteps: 1000,
  prediction_type: "v_prediction",
  rescale_betas_zero_snr: false,
  sigma_max: 25.0,
  sigma_min: 0.02,
  steps_offset: 1,
  timestep_spacing: "leading",
  timestep_type: "continuous",
  trained_betas: null,
  use_karras_sigmas: true,
};
const solver = {
  dynamic_thresholding_ratio: 0.995,
  sample_max_value: 1,
  thresholding: false,
  final_sigmas_type: "zero",
};

async function withScheduler(config: object | string, indexClass?: string): Promise<string> {
  const folder = await checkpointCopy();
  const text = typeof config === "string" ? config : JSON.stringify(config);
  await writeFile(join(folder, "scheduler/scheduler_config.json"), text);
  await editJson(join(folder, "model_index.json"), (json) => {
    if (indexClass !== undefined) json.scheduler = ["diffusers", indexClass];
  });
  return folder;
}

async function opened(config: object | string, indexClass?: string) {
  const folder = await withScheduler(config, indexClass);
  const { schedulerConfig, assumptions } = await openCheckpoint(folder);
  return {
    config: eulerDiscreteConfig(schedulerConfig),
    assumptions: assumptions!.map((line) => line.replace(`${folder}/scheduler/scheduler_config.json: `, "")),
  };
}

const messageOf = async (config: object, indexClass?: string) => {
  const folder = await withScheduler(config, indexClass);
  return openCheckpoint(folder).then(
    () => "no error",
    (error: StillmotionError) => error.message.replace(`${folder}/`, ""),
  );
};

const plain = eulerDiscreteConfig({ ...common, _class_name: "EulerDiscreteScheduler" });

describe("the configuration that another sampler was given by Euler's means the same", () => {
  it.each([
    ["DDIMScheduler", { clip_sample: true, clip_sample_range: 1, set_alpha_to_one: true }, ""],
    ["EulerAncestralDiscreteScheduler", {}, ""],
    ["UniPCMultistepScheduler", { ...solver, solver_type: "bh2", disable_corrector: [], use_flow_sigmas: false }, ""],
    ["LCMScheduler", { original_inference_steps: 50, timestep_scaling: 10 }, ""],
    ["HeunDiscreteScheduler", { use_beta_sigmas: false }, " (the scheduler heun is its like here)"],
    ["MyOwnScheduler", { my_option: [1, 2] }, ""],
  ])("%s", async (className, others, hint) => {
    const { config, assumptions } = await opened({ ...common, ...others, _class_name: className }, className);
    expect(config).toEqual(plain);
    expect(assumptions).toEqual([
      `is of class ${className}; EulerDiscreteScheduler is taken instead${hint}, with the options that both have, ` +
        "and interpolation_type as Stable Video Diffusion was published with",
    ]);
  });

  it("DPMSolverMultistepScheduler, whose file has a number that is not JSON", async () => {
    const own = { ...common, ...solver, _class_name: "DPMSolverMultistepScheduler", solver_order: 2 };
    const text = JSON.stringify(own).replace(/}$/, ', "lambda_min_clipped": -Infinity}');
    expect((await opened(text)).config).toEqual(plain);
  });
});

describe("what another sampler does not say is as published", () => {
  const published = eulerDiscreteConfig(publishedScheduler);

  it("for one that knows no betas and counts its steps otherwise", async () => {
    const { config, assumptions } = await opened({
      _class_name: "AnimateLCMSVDStochasticIterativeScheduler",
      num_train_timesteps: 40,
      sigma_min: 0.002,
      sigma_max: 700.0,
      sigma_data: 1.0,
      s_noise: 1.0,
      rho: 7,
      clip_denoised: false,
    });
    expect(config).toEqual(published);
    expect(assumptions[0]).toMatch(
      /^is of class AnimateLCM.* \(the scheduler animate-lcm is its like here\), with the opt/,
    );
  });

  it("for one with betas alone", async () => {
    const betas = { beta_start: 0.001, beta_end: 0.01, beta_schedule: "linear", num_train_timesteps: 500 };
    const { config, assumptions } = await opened({ _class_name: "PNDMScheduler", ...betas, sigma_min: null });
    const changed = { betaStart: 0.001, betaEnd: 0.01, betaSchedule: "linear", numTrainTimesteps: 500 };
    expect(config).toEqual({ ...published, ...changed });
    expect(assumptions).toEqual([
      "is of class PNDMScheduler; EulerDiscreteScheduler is taken instead, with the options that both have, and " +
        "interpolation_type, prediction_type, sigma_max, sigma_min, steps_offset, timestep_spacing, timestep_type, " +
        "use_karras_sigmas as Stable Video Diffusion was published with",
    ]);
  });

  it("for one of Karras et al., if the network is scaled as this one", async () => {
    const edm = { _class_name: "EDMEulerScheduler", sigma_schedule: "exponential", sigma_max: 80, sigma_data: 1 };
    const { config } = await opened({ ...edm, prediction_type: "v_prediction", num_train_timesteps: 18 });
    expect(config).toEqual({ ...published, sigmaMax: 80, sigmaSpacing: "exponential" });
    expect(await messageOf({ ...edm, sigma_data: 0.5 })).toBe(
      "scheduler/scheduler_config.json: is of class EDMEulerScheduler and has sigma_data 0.5, expected 1, by which the network is scaled",
    );
  });
});

it("a class that only model_index.json names leaves Euler's options as they are", async () => {
  const { config, assumptions } = await opened({ ...common, _class_name: "EulerDiscreteScheduler" }, "DDIMScheduler");
  expect(config).toEqual(plain);
  expect(assumptions).toEqual(["is of class DDIMScheduler; EulerDiscreteScheduler is taken instead"]);
});

describe("a sampler of another kind of network is refused by name", () => {
  it.each([
    ["FlowMatchEulerDiscreteScheduler", {}, "which samples flow matching"],
    ["LTXEulerAncestralRFScheduler", {}, "which samples flow matching"],
    ["VQDiffusionScheduler", {}, "which samples other networks"],
    ["UniPCMultistepScheduler", { use_flow_sigmas: true }, "with use_flow_sigmas, which samples flow matching"],
  ])("%s", async (className, others, message) => {
    expect(await messageOf({ ...common, ...others, _class_name: className })).toContain(message);
  });

  it("in model_index.json too", async () => {
    expect(await messageOf(common, "FlowMatchHeunDiscreteScheduler")).toBe(
      "model_index.json: names FlowMatchHeunDiscreteScheduler for scheduler, which samples flow matching, " +
        "expected EulerDiscreteScheduler",
    );
  });
});
