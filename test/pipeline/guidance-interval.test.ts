/** Does guidance act within its interval of noise levels, and nowhere else? */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import type { GenerateOptions } from "../../src/options/generate-call.ts";
import type { DenoiseStep } from "../../src/pipeline/denoise-step.ts";
import { picture } from "../support/picture.ts";
import { platformOf } from "../support/platform.ts";
import { type WatchedEngine, watchedEngine } from "../support/watched-engine.ts";

/** The levels of the steps; the last step ends at 0. */
const sigmas = [100, 10, 1, 0.1, 0];

let watched: WatchedEngine;
let pipe: StableVideoDiffusionPipeline;
beforeAll(async () => {
  watched = await watchedEngine();
  const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "checkpoints", "two-levels-fp32"));
  pipe = new StableVideoDiffusionPipeline(checkpoint, platformOf(watched.engine), { offload: "none" });
});
afterAll(() => pipe.dispose());

/** The latents after each step, and how many times the UNet ran in it: 2 where it was guided. */
async function run(options: Partial<GenerateOptions<"latents">>) {
  const steps: Float32Array[] = [];
  const evaluations: number[] = [];
  const { onStep, ...more } = options;
  watched.runs.length = 0;
  await pipe.generate(picture, {
    ...{ width: 48, height: 32, numFrames: 2, sigmas, minGuidanceScale: 2, maxGuidanceScale: 3, seed: 4 },
    ...more,
    outputType: "latents",
    onStep(step: DenoiseStep) {
      steps.push(step.latents.data);
      evaluations.push(watched.runs.splice(0).filter(({ network }) => network === "unet").length);
      return onStep?.(step);
    },
  });
  return { steps, evaluations };
}

it.each([
  [undefined, [2, 2, 2, 2]],
  [
    [0, 1000],
    [2, 2, 2, 2],
  ],
  // Above the first, up to and with the second.
  [
    [1, 10],
    [1, 2, 1, 1],
  ],
  [
    [0.5, 50],
    [1, 2, 2, 1],
  ],
  [
    [0, 0.5],
    [1, 1, 1, 2],
  ],
] as const)("in %j the UNet runs %j times", async (guidanceInterval, evaluations) => {
  const options = guidanceInterval === undefined ? {} : { guidanceInterval: [...guidanceInterval] as [number, number] };
  expect((await run(options)).evaluations).toEqual(evaluations);
});

it("is the guided run inside, and outside it the run with scale 1", async () => {
  const guided = await run({});
  const plain = await run({ minGuidanceScale: 1, maxGuidanceScale: 1 });
  const mixed = await run({ guidanceInterval: [5, 1000] });
  expect(plain.steps[1]).not.toEqual(guided.steps[1]);
  expect(mixed.steps.slice(0, 2)).toEqual(guided.steps.slice(0, 2));
  expect(mixed.steps[2]).not.toEqual(guided.steps[2]);
  // The run without guidance, put where the guided one stood after its second step, goes on in the same way.
  const continued = await run({
    minGuidanceScale: 1,
    maxGuidanceScale: 1,
    onStep: ({ step, latents }) => (step === 2 ? { ...latents, data: guided.steps[1]! } : undefined),
  });
  expect(mixed.steps.slice(2)).toEqual(continued.steps.slice(2));
});

it("is refused where no noise level of the run lies in it", async () => {
  await expect(run({ guidanceInterval: [2, 3] })).rejects.toMatchObject({
    code: "invalid-option",
    message:
      "generate: guidanceInterval is [2, 3], but no noise level of this run lies above the first and up to the second; they fall from 100 to 0.1",
  });
});
