/**
 * Does each sampler take the reference's trajectory, and does its error fall as its paper says?
 *
 * Golden: python -m reference.golden schedulers (reference/golden/schedulers.py), diffusers 0.42.1
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { eulerDiscreteConfig, schedule } from "../../src/schedulers/euler-discrete.ts";
import { denoisedSample } from "../../src/schedulers/preconditioning.ts";
import type { Churn, Denoise, SamplerRun } from "../../src/schedulers/sampler.ts";
import { type SamplerName, samplerNames, samplers } from "../../src/schedulers/samplers.ts";
import { floatTensor } from "../../src/tensor.ts";
import { expectClose, type Golden, readGolden } from "../support/golden.ts";

const goldens = readdirSync(join(import.meta.dirname, "golden"))
  .filter((file) => file.startsWith("sampler-"))
  .map((file) => file.replace(/^sampler-|\.safetensors$/g, ""));

/** The best denoiser of normally distributed data: mean + (x - mean) variance / (variance + sigma^2). */
function normalData(mean: number, deviation: number): Denoise {
  return async (x, sigma) => x.map((value) => mean + ((value - mean) * deviation ** 2) / (deviation ** 2 + sigma ** 2));
}

/** The samples after each step. */
async function sampled(name: SamplerName, run: SamplerRun): Promise<Float32Array[]> {
  const states = samplers[name].sample(run);
  const samples: Float32Array[] = [];
  for (let state = await states.next(); ; state = await states.next()) {
    if (!state.done) samples.push(state.value);
    else {
      expect(state.value).toBe(samples.at(-1));
      return samples;
    }
  }
}

const noNoise = (): Float32Array => {
  throw new Error("noise was drawn");
};

/** Hands out the golden's noise in its order. */
function noiseOf(golden: Golden): () => Float32Array {
  let drawn = 0;
  return () => golden.tensor(`noise.${drawn++}`).data;
}

function expectSteps(golden: Golden, samples: readonly Float32Array[]): void {
  for (const [index, sample] of samples.entries()) {
    const name = golden.has(`step${index + 1}`) ? `step${index + 1}` : "end";
    const expected = golden.tensor(name);
    expectClose(floatTensor(expected.shape, sample), expected, golden.tolerance, name);
  }
}

describe("trajectories of k-diffusion", () => {
  it.each(goldens.filter((name) => !name.startsWith("animate-lcm")))("%s", async (name) => {
    const golden = await readGolden("schedulers", "golden", `sampler-${name}.safetensors`);
    const {
      arguments: given,
      mean,
      deviation,
    } = golden.details as {
      arguments: Record<string, number>;
      mean: number;
      deviation: number;
    };
    const churn: Churn = { sChurn: given.s_churn, sTmin: given.s_tmin, sTmax: given.s_tmax, sNoise: given.s_noise };
    const samples = await sampled(samplerNames.find((sampler) => name.startsWith(sampler))!, {
      sample: golden.tensor("start").data,
      sigmas: golden.tensor("sigmas").data,
      denoise: normalData(mean, deviation),
      drawNoise: given.s_churn === undefined ? noNoise : noiseOf(golden),
      churn,
    });
    expect(samples.length).toBe(golden.tensor("sigmas").data.length - 1);
    expectSteps(golden, samples);
  });
});

describe("AnimateLCM", () => {
  it.each([1, 2, 4, 8])("%i steps", async (steps) => {
    const golden = await readGolden("schedulers", "golden", `sampler-animate-lcm-${steps}.safetensors`);
    const { sigmas, timesteps, initNoiseSigma } = schedule(eulerDiscreteConfig(golden.config), {
      steps,
      sigmas: "animate-lcm",
    });
    expectClose(floatTensor([steps + 1], sigmas), golden.tensor("sigmas"), golden.tolerance, "sigmas");
    expectClose(floatTensor([steps], timesteps), golden.tensor("timesteps"), golden.tolerance, "timesteps");
    expect(initNoiseSigma).toBeCloseTo(Math.sqrt(700 ** 2 + 1), 3);
    let step = 0;
    const samples = await sampled("animate-lcm", {
      sample: golden.tensor("start").data,
      sigmas,
      denoise: async (x, sigma) => denoisedSample(x, golden.tensor(`v.${step++}`).data, sigma, "v_prediction"),
      drawNoise: noiseOf(golden),
    });
    expectSteps(golden, samples);
  });

  it("draws no noise for the last step, whose level is 0", async () => {
    const run = { sample: Float32Array.of(3, 4), sigmas: Float32Array.of(700, 0), drawNoise: noNoise };
    const samples = await sampled("animate-lcm", { ...run, denoise: async () => Float32Array.of(1, -2) });
    expect([...samples[0]!]).toEqual([1, -2]);
  });
});

describe("error against the exact solution", () => {
  // Normal data: x(sigma) = mean + (x - mean) sqrt((variance + sigma^2) / (variance + sigmaStart^2)).
  const [mean, deviation, start] = [0.3, 0.7, 4];
  const exact = (x: number, from: number, to: number) =>
    mean + (x - mean) * Math.sqrt((deviation ** 2 + to ** 2) / (deviation ** 2 + from ** 2));

  async function errorOf(name: SamplerName, steps: number): Promise<number> {
    const sigmas = Float32Array.from({ length: steps + 1 }, (_, i) => start * (0.1 / start) ** (i / steps));
    const samples = await sampled(name, {
      sample: Float32Array.of(5),
      sigmas,
      denoise: normalData(mean, deviation),
      drawNoise: noNoise,
    });
    return Math.abs(samples.at(-1)![0]! - exact(5, sigmas[0]!, sigmas.at(-1)!));
  }

  it.each([
    ["euler", 1],
    ["heun", 2],
    ["dpmpp-2m", 2],
  ] as const)("of %s falls with power %i of the step", async (name, order) => {
    const ratio = (await errorOf(name, 16)) / (await errorOf(name, 32));
    expect(Math.log2(ratio)).toBeGreaterThan(order - 0.3);
    expect(Math.log2(ratio)).toBeLessThan(order + 0.5);
  });
});

describe("every sampler", () => {
  const sigmas = Float32Array.of(10, 2, 0.5, 0);
  const clean = Float32Array.of(0.5, -0.25);

  it.each(samplerNames)("%s goes on from the sample that is handed back", async (name) => {
    const denoise: Denoise = async (x) => x.map((value) => value / 2);
    const drawNoise = () => Float32Array.of(1, -1);
    const replacement = Float32Array.of(0, 0);
    const run = async (replace: boolean): Promise<Float32Array> => {
      const states = samplers[name].sample({ sample: Float32Array.of(8, 9), sigmas, denoise, drawNoise });
      let state = await states.next();
      for (let step = 1; !state.done; step++)
        state = await states.next(replace && step === 3 ? replacement : undefined);
      return state.value;
    };
    expect(await run(true)).toBe(replacement);
    expect([...(await run(false))]).not.toEqual([0, 0]);
  });

  it.each(samplerNames)("%s ends at the denoised sample, and leaves what it was given as it was", async (name) => {
    const sample = Float32Array.of(8, 9);
    const samples = await sampled(name, {
      sample,
      sigmas,
      denoise: async () => clean.slice(),
      drawNoise: () => Float32Array.of(1, -1),
    });
    expect([...samples.at(-1)!]).toEqual([...clean]);
    expect([...sample]).toEqual([8, 9]);
    expect(new Set(samples).size).toBe(3);
  });

  it("asks once a step, heun twice but for the last", async () => {
    const asked = async (name: SamplerName) => {
      const levels: number[] = [];
      const denoise: Denoise = async (x, sigma) => {
        levels.push(sigma);
        return x.map(() => 0);
      };
      await sampled(name, { sample: Float32Array.of(8), sigmas, denoise, drawNoise: () => Float32Array.of(1) });
      return levels;
    };
    expect(await asked("euler")).toEqual([10, 2, 0.5]);
    expect(await asked("heun")).toEqual([10, 2, 2, 0.5, 0.5]);
    expect(await asked("dpmpp-2m")).toEqual([10, 2, 0.5]);
    expect(await asked("animate-lcm")).toEqual([10, 2, 0.5]);
  });
});
