/** Does a whole run take each sampler: the same clip for the same seed, another for another sampler? */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import type { GenerateOptions } from "../../src/options/generate-call.ts";
import type { DenoiseStep } from "../../src/pipeline/denoise-step.ts";
import { samplerNames } from "../../src/schedulers/samplers.ts";
import { picture } from "../support/picture.ts";

let pipe: StableVideoDiffusionPipeline;
beforeAll(async () => {
  const folder = join(import.meta.dirname, "..", "checkpoints", "two-levels-fp32");
  pipe = await StableVideoDiffusionPipeline.fromPretrained(folder, { threads: 2 });
});
afterAll(() => pipe.dispose());

/** The latents, and what was told of each step. */
async function run(options: Partial<GenerateOptions<"latents">>, images = [picture]) {
  const steps: DenoiseStep[] = [];
  const { latents } = await pipe.generate(images, {
    width: 48,
    height: 32,
    numFrames: 2,
    numInferenceSteps: 3,
    maxGuidanceScale: 1,
    seed: 4,
    outputType: "latents",
    onStep: (step) => void steps.push(step),
    ...options,
  });
  return { latents: latents.data, steps };
}

function bytes({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

describe("a run", () => {
  it.each(samplerNames)("with %s repeats itself to the byte and tells of each step once", async (scheduler) => {
    const first = await run({ scheduler });
    expect(first.steps.map(({ step, steps }) => `${step} of ${steps}`)).toEqual(["1 of 3", "2 of 3", "3 of 3"]);
    expect(first.steps.at(-1)!.latents.data).toEqual(first.latents);
    expect(first.latents.every(Number.isFinite)).toBe(true);
    expect(Buffer.compare(bytes((await run({ scheduler })).latents), bytes(first.latents))).toBe(0);
    // With a seed for each clip, a clip's noise on the way is its own as well.
    const both = await run({ scheduler, seed: [3, 4] }, [picture, picture]);
    expect(Buffer.compare(bytes(both.latents.subarray(first.latents.length)), bytes(first.latents))).toBe(0);
  });

  it("makes another clip with another sampler, with other noise levels and with churn", async () => {
    const others: Partial<GenerateOptions<"latents">>[] = [
      ...samplerNames.map((scheduler) => ({ scheduler })),
      { sigmas: "ays" },
      { sChurn: 1 },
      { sChurn: 1, sNoise: 0.5 },
      { scheduler: "heun", sChurn: 1 },
    ];
    const clips = new Set<string>();
    for (const options of others) clips.add((await run(options)).latents.join());
    expect(clips.size).toBe(others.length);
  });

  it("churns only between the levels named", async () => {
    const plain = await run({});
    expect((await run({ sChurn: 1, sTmin: 800 })).latents).toEqual(plain.latents);
    expect((await run({ sChurn: 0 })).latents).toEqual(plain.latents);
    expect((await run({ sChurn: 1, sTmax: 1 })).steps[1]!.latents.data).toEqual(plain.steps[1]!.latents.data);
  });

  it("goes through the levels of AnimateLCM and of Align Your Steps", async () => {
    const levels = async (options: Partial<GenerateOptions<"latents">>) =>
      (await run(options)).steps.map(({ sigma }) => Number(sigma.toPrecision(4)));
    expect(await levels({ scheduler: "animate-lcm", numInferenceSteps: 4 })).toEqual([700, 128.6, 13.68, 0.4969]);
    expect(await levels({ scheduler: "animate-lcm", numInferenceSteps: undefined })).toHaveLength(4);
    expect(await levels({ sigmas: "ays", numInferenceSteps: 10 })).toEqual([
      700, 54.5, 15.89, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034,
    ]);
  });

  it("gives settings that make the same clip again", async () => {
    const options = { width: 48, height: 32, numFrames: 2, outputType: "latents" } as const;
    const first = await pipe.generate(picture, { ...options, scheduler: "animate-lcm" });
    const again = await pipe.generate(picture, { ...first.settings, outputType: "latents" });
    expect(again.latents.data).toEqual(first.latents.data);
  });
});
