/** Golden: python -m reference.golden schedulers (reference/golden/schedulers.py), diffusers 0.42.1 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { eulerStep } from "../../src/schedulers/euler.ts";
import { eulerDiscreteConfig, type Schedule, schedule } from "../../src/schedulers/euler-discrete.ts";
import { denoisedSample, scaleModelInput } from "../../src/schedulers/preconditioning.ts";
import { type Golden, readGolden } from "../support/golden.ts";

const goldenNames = readdirSync(join(import.meta.dirname, "golden"))
  .map((file) => file.replace(".safetensors", ""))
  // An option that is refused, see the test of the configuration; and goldens of samplers.test.ts.
  .filter((name) => name !== "zero-snr" && !name.startsWith("sampler-") && name !== "align-your-steps");

interface Case {
  readonly set_timesteps: Record<string, { num_inference_steps?: number; sigmas?: number[] }>;
  readonly steps: Record<string, number[]>;
}

/** Each value within 1e-6 of its own magnitude: a tolerance on the largest sigma alone would hide errors in the small ones. */
function expectEach(actual: ArrayLike<number>, golden: Golden, name: string, absolute = 0): void {
  const expected = golden.tensor(name).data;
  expect(actual.length, `length of ${name}`).toBe(expected.length);
  let [largest, sum, at] = [0, 0, 0];
  expected.forEach((value, i) => {
    const difference = Math.abs(actual[i]! - value);
    const error = difference <= absolute ? 0 : difference / Math.abs(value);
    sum += error;
    if (!(error <= largest)) [largest, at] = [error, i];
  });
  const found = `largest relative difference ${largest} at ${at}: ${actual[at]}, expected ${expected[at]}`;
  expect(largest <= 1e-6, `${name}: ${found}; mean ${sum / expected.length}`).toBe(true);
}

function scheduleOf(golden: Golden, run: string): Schedule {
  const { num_inference_steps: steps, sigmas } = (golden.details as unknown as Case).set_timesteps[run]!;
  return schedule(eulerDiscreteConfig(golden.config), sigmas ? { sigmas } : { steps });
}

describe.each(goldenNames)("as the reference with %s", async (name) => {
  const golden = await readGolden("schedulers", "golden", `${name}.safetensors`);
  const { set_timesteps: runs, steps } = golden.details as unknown as Case;

  test.each(Object.keys(runs))("noise levels of %s steps", (run) => {
    const { sigmas, timesteps, initNoiseSigma } = scheduleOf(golden, run);
    // With log-linear interpolation the reference has one level more than its steps use.
    const unused = golden.tensor(`${run}.sigmas`).data.length - timesteps.length - 1;
    expect(unused).toBe(golden.config.interpolation_type === "log_linear" ? 1 : 0);
    expectEach([...sigmas, ...Array(unused).fill(0)], golden, `${run}.sigmas`);
    // A timestep is 0.25 ln(sigma), or an index up to 999: near 0 only its absolute error means something.
    expectEach(timesteps, golden, `${run}.timesteps`, 1e-7);
    expectEach([initNoiseSigma], golden, `${run}.init_noise_sigma`);
  });

  test.each(Object.keys(runs))("scaled inputs and steps of %s steps", (run) => {
    const { predictionType } = eulerDiscreteConfig(golden.config);
    const { sigmas } = scheduleOf(golden, run);
    for (const i of steps[run]!) {
      const at = `${run}.step${i}`;
      const sample = golden.tensor(`${at}.sample`).data;
      const output = golden.tensor(`${at}.model_output`).data;
      expectEach(scaleModelInput(sample, sigmas[i]!), golden, `${at}.scaled_sample`, 1e-9);
      const denoised = denoisedSample(sample, output, sigmas[i]!, predictionType);
      const next = eulerStep(sample, denoised, sigmas[i]!, sigmas[i + 1]!);
      // Where the terms of a step cancel, what is left is as exact as the terms are.
      expectEach(next, golden, `${at}.prev_sample`, 1e-6 * sample.reduce((most, x) => Math.max(most, Math.abs(x)), 0));
    }
  });
});

const svd = eulerDiscreteConfig({
  use_karras_sigmas: true,
  sigma_min: 0.002,
  sigma_max: 700,
  prediction_type: "v_prediction",
  timestep_type: "continuous",
  timestep_spacing: "leading",
});

describe("noise levels", () => {
  test("fall strictly from the largest to 0, whatever the number of steps", () => {
    for (const steps of [1, 2, 3, 4, 10, 25, 100, 1000]) {
      const { sigmas, timesteps } = schedule(svd, { steps });
      expect(sigmas.length).toBe(steps + 1);
      expect(timesteps.length).toBe(steps);
      expect(sigmas[0]).toBeCloseTo(700, 3);
      expect(sigmas.at(-1)).toBe(0);
      for (let i = 0; i < steps; i++) expect(sigmas[i]! > sigmas[i + 1]!).toBe(true);
    }
  });

  test("curve as rho says", () => {
    // Karras et al. 2022, eq. 5 with rho 1 is a straight line.
    const { sigmas } = schedule({ ...svd, rho: 1, sigmaMin: 100 }, { steps: 4 });
    for (const [i, expected] of [700, 500, 300, 100, 0].entries()) expect(sigmas[i]).toBeCloseTo(expected, 3);
    expect(eulerDiscreteConfig({ rho: 5 }).rho).toBe(5);
    expect(svd.rho).toBe(7);
  });

  test.each([0, -1, 2.5, Number.NaN, undefined])("%s steps are refused", (steps) => {
    expect(() => schedule(svd, { steps })).toThrow(
      `numInferenceSteps: ${steps} was given, expected a whole number from 1 on`,
    );
  });
});

describe("custom sigmas", () => {
  test("are used as they are, the last one included", () => {
    const { sigmas, timesteps } = schedule(svd, { sigmas: [700, 16, 1, 0.5] });
    expect([...sigmas]).toEqual([700, 16, 1, 0.5]);
    expect(timesteps.length).toBe(3);
    expect(timesteps[2]).toBe(0);
  });

  test.each([
    [[], "sigmas: 0 given, expected at least two levels, falling, such as 700, 15.9, 0.98, 0"],
    [[700], "sigmas: 1 given, expected at least two levels, falling, such as 700, 15.9, 0.98, 0"],
    [[700, 700, 0], "sigmas: number 2 is 700 after 700, expected each smaller than the one before"],
    [[1, 700, 0], "sigmas: number 2 is 700 after 1, expected each smaller than the one before"],
    [[700, 0, 0], "sigmas: number 2 is 0, expected a number above 0 and below 1e18"],
    [[700, -1], "sigmas: number 2 is -1, expected a number of 0 or more and below 1e18"],
    [[Number.NaN, 0], "sigmas: number 1 is NaN, expected a number above 0 and below 1e18"],
    [[Number.POSITIVE_INFINITY, 0], "sigmas: number 1 is Infinity, expected a number above 0 and below 1e18"],
    [[1e30, 0], "sigmas: number 1 is 1e+30, expected a number above 0 and below 1e18"],
    [[1, 1e-60, 0], "sigmas: number 2 is 1e-60, expected a number above 0 and below 1e18"],
    [["700", 0], "sigmas: number 1 is 700, expected a number above 0 and below 1e18"],
  ])("%j are refused", (sigmas, message) => {
    expect(() => schedule(svd, { sigmas: sigmas as number[] })).toThrow(message);
  });

  test("must agree with the number of steps", () => {
    expect(schedule(svd, { sigmas: [700, 1, 0], steps: 2 }).timesteps.length).toBe(2);
    expect(() => schedule(svd, { sigmas: [700, 1, 0], steps: 25 })).toThrow(
      "sigmas: 3 levels make 2 steps, but numInferenceSteps is 25; leave one of them out",
    );
  });
});

describe("a step", () => {
  test("may be written over its input", () => {
    const sample = Float32Array.of(1, -2, 3);
    const output = Float32Array.of(0.5, 0.25, -1);
    const denoised = denoisedSample(sample, output, 10, "v_prediction");
    expect(denoisedSample(sample, output, 10, "v_prediction", output)).toBe(output);
    expect(output).toEqual(denoised);
    const expected = eulerStep(sample, denoised, 10, 2);
    expect(eulerStep(sample, denoised, 10, 2, sample)).toBe(sample);
    expect(sample).toEqual(expected);
    const scaled = scaleModelInput(expected, 10);
    expect(scaleModelInput(expected, 10, expected)).toEqual(scaled);
  });

  test("to level 0 gives the denoised sample", () => {
    const sample = Float32Array.of(5, -7);
    const output = Float32Array.of(1, -2);
    expect([...eulerStep(sample, Float32Array.of(0.5, -0.25), 4, 0)]).toEqual([0.5, -0.25]);
    expect([...denoisedSample(sample, output, 4, "sample")]).toEqual([1, -2]);
    expect([...eulerStep(sample, denoisedSample(sample, output, 4, "epsilon"), 4, 0)]).toEqual([1, 1]);
  });

  test("refuses lengths that differ", () => {
    expect(() => eulerStep(new Float32Array(3), new Float32Array(2), 1, 0)).toThrow(
      "eulerStep: 2 denoised values and 3 results for 3 sample values",
    );
  });
});
