/**
 * Do names stand for the published noise levels, and what is the network told of a level between two?
 *
 * Golden: python -m reference.golden schedulers (reference/golden/schedulers.py), diffusers 0.42.1
 */
import { describe, expect, it } from "vitest";
import { eulerDiscreteConfig, schedule } from "../../src/schedulers/euler-discrete.ts";
import { floatTensor } from "../../src/tensor.ts";
import { expectClose, readGolden } from "../support/golden.ts";

const golden = await readGolden("schedulers", "golden", "align-your-steps.safetensors");
const svd = eulerDiscreteConfig(golden.config);

describe("Align Your Steps", () => {
  it.each(golden.details.steps as number[])("%i steps", (steps) => {
    const { sigmas, timesteps } = schedule(svd, { steps, sigmas: "ays" });
    const expected = golden.tensor(`${steps}.sigmas`);
    for (const [i, sigma] of sigmas.entries()) {
      // Each level against itself: the largest would hide the others.
      expectClose(
        floatTensor([1], Float32Array.of(sigma)),
        floatTensor([1], expected.data.slice(i, i + 1)),
        golden.tolerance,
      );
    }
    expect(timesteps.length).toBe(steps);
  });

  it("gives the ten published levels as they are", () => {
    const published = [700, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0];
    expect([...schedule(svd, { steps: 10, sigmas: "ays" }).sigmas]).toEqual(published.map(Math.fround));
  });

  it("needs a number of steps", () => {
    expect(() => schedule(svd, { sigmas: "ays" })).toThrow("numInferenceSteps: undefined was given");
  });
});

it("karras by name is what the published checkpoints say, whatever a configuration says", () => {
  const { sigmas } = schedule(svd, { steps: 7 });
  expect(schedule(svd, { steps: 7, sigmas: "karras" }).sigmas).toEqual(sigmas);
  const exponential = { ...svd, sigmaSpacing: "exponential" } as const;
  expect(schedule(exponential, { steps: 7 }).sigmas).not.toEqual(sigmas);
  expect(schedule(exponential, { steps: 7, sigmas: "karras" }).sigmas).toEqual(sigmas);
});

it("AnimateLCM's four levels are those of its paper's code", () => {
  const { sigmas } = schedule(svd, { steps: 4, sigmas: "animate-lcm" });
  for (const [i, expected] of [700, 128.5637, 13.6784, 0.4969, 0].entries()) expect(sigmas[i]).toBeCloseTo(expected, 3);
});

describe("what the network is told of a level", () => {
  it("is the timestep of the step that starts there", () => {
    for (const config of [svd, eulerDiscreteConfig({ timestep_spacing: "leading" })]) {
      const { sigmas, timesteps, timestepAt } = schedule(config, { steps: 5 });
      expect(Float32Array.from(timesteps, (_, i) => timestepAt(sigmas[i]!))).toEqual(timesteps);
    }
  });

  it("is a quarter of the logarithm in between, or the index in the training's levels", () => {
    expect(schedule(svd, { steps: 5 }).timestepAt(100.5)).toBeCloseTo(0.25 * Math.log(100.5), 6);
    const discrete = schedule(eulerDiscreteConfig({ timestep_spacing: "leading" }), { steps: 10 });
    const between = discrete.timestepAt((discrete.sigmas[3]! + discrete.sigmas[4]!) / 2);
    expect(between).toBeLessThan(discrete.timesteps[3]!);
    expect(between).toBeGreaterThan(discrete.timesteps[4]!);
  });
});
