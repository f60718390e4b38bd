/**
 * Does a whole run give the reference pipeline's latents at each step, and its frames?
 *
 * Golden: python -m reference.golden pipeline (reference/golden/pipeline.py), diffusers 0.42.1
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Image } from "../../src/image/image.ts";
import { loadImage } from "../../src/node/image/load-image.ts";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import { readSafetensors } from "../../src/node/weights.ts";
import type { GenerateSettings } from "../../src/options/generate-options.ts";
import { type FloatTensor, floatTensor } from "../../src/tensor.ts";
import { expectClose, items, readGolden, type Tolerance } from "../support/golden.ts";

const folder = join(import.meta.dirname, "golden");

interface Run {
  /** Every tensor by name, as the reference gave it. */
  readonly golden: Awaited<ReturnType<typeof readGolden>>;
  readonly tolerance: { latents: Tolerance; frames: Tolerance };
  readonly steps: FloatTensor[];
  readonly frames: FloatTensor[];
}

/** Repeats a stored run with the options of the reference's call, snake case and all. */
async function repeat(
  name: string,
  change?: (latents: FloatTensor, step: number) => FloatTensor | undefined,
  more: GenerateSettings = {},
): Promise<Run> {
  const golden = await readGolden("pipeline", "golden", `${name}.safetensors`);
  const { metadata } = await readSafetensors(golden.path);
  const { image, latents, ...call } = JSON.parse(metadata.call!) as Record<string, unknown>;
  // With sigmas the reference does not look at the number of steps; here both at once are an error.
  const options = call.sigmas ? { ...call, num_inference_steps: undefined } : call;
  const checkpoint = golden.config.checkpoint as string;
  const variant = checkpoint.endsWith("fp16") ? { variant: "fp16" } : {};
  await using pipe = await StableVideoDiffusionPipeline.fromPretrained(
    join(import.meta.dirname, "..", "checkpoints", checkpoint),
    { threads: 2, ...variant },
  );
  const names = [image].flat() as string[];
  const images: Image[] = await Promise.all(names.map((file) => loadImage(join(folder, file))));
  const steps: FloatTensor[] = [];
  const { frames } = await pipe.generate<"floats">(images, {
    ...options,
    ...more,
    // Left out there means the square of the configuration, here 16:9: name the size that the frames have.
    height: golden.tensor("frames").shape[2],
    width: golden.tensor("frames").shape[3],
    ...(latents ? { latents: golden.tensor("latents") } : {}),
    decode_mode: "reference",
    output_type: "np",
    onStep: ({ latents: current, step }: { latents: FloatTensor; step: number }) => {
      steps.push(current);
      return change?.(current, step);
    },
  });
  return { golden, tolerance: golden.details.tolerance as Run["tolerance"], steps, frames };
}

function expectSameSteps({ golden, steps, tolerance }: Run): void {
  expect(steps.length).toBe(golden.names("latents.step").length);
  for (const [index, latents] of steps.entries()) {
    expectClose(latents, golden.tensor(`latents.step${index}`), tolerance.latents, `latents after step ${index + 1}`);
  }
}

/** Frames `start` to `end` of one clip. */
function expectSameFrames({ golden, frames, tolerance }: Run, clip: number, start = 0, end?: number): void {
  const expected = golden.tensor("frames");
  const clipFrames = floatTensor(expected.shape.slice(1), items(expected, clip, clip + 1).data);
  const last = end ?? clipFrames.shape[0]!;
  expectClose(
    items(frames[clip]!, start, last),
    items(clipFrames, start, last),
    tolerance.frames,
    `frames of clip ${clip}`,
  );
}

function expectSameRun(run: Run): void {
  expectSameSteps(run);
  expect(run.frames.length).toBe(run.golden.tensor("frames").shape[0]);
  for (const clip of run.frames.keys()) expectSameFrames(run, clip);
}

describe("runs of the reference", () => {
  it.each([
    "two-levels-fp32-guided",
    "two-levels-fp32-unguided",
    "three-levels-fp16-guided",
    "three-levels-fp16-unguided",
    "four-levels-bf16-guided",
    "four-levels-bf16-unguided",
    "odd-latent",
    "default-size",
    "one-frame",
    "one-step",
    "large-seed",
    "guidance-range",
    "micro-conditioning",
    "no-noise-augmentation",
    "custom-sigmas",
    "given-latents",
    "several-images",
    "several-images-seeds",
    "several-videos",
    "several-videos-seeds",
    "decode-chunk-1",
    "decode-chunk-2",
    "decode-chunk-3-of-5",
  ])("%s", async (name) => expectSameRun(await repeat(name)));

  // The noise of each step comes from the run's generator, after that of the pictures and of the first latents.
  it.each(["animate-lcm", "animate-lcm-guided"])("%s", async (name) => {
    expectSameRun(await repeat(name, undefined, { scheduler: "animate-lcm" }));
  });

  it("goes on from latents that a callback returned", async () => {
    const half = (latents: FloatTensor) =>
      floatTensor(
        latents.shape,
        latents.data.map((value) => value / 2),
      );
    expectSameRun(await repeat("replaced-latents", (latents, step) => (step === 1 ? half(latents) : undefined)));
  });

  // The reference pairs embeddings [a, a, b, b] with image latents [a, b, a, b]; clips 0 and 3 are those that it pairs right.
  it("gives each of several images its own videos", async () => {
    const run = await repeat("several-images-several-videos");
    expect(run.frames.length).toBe(4);
    for (const clip of [0, 3]) expectSameFrames(run, clip);
  });

  // The reference lays all clips end to end before it cuts chunks; the chunk in the middle mixes two clips.
  it("never decodes frames of two clips in one chunk", async () => {
    const run = await repeat("decode-chunk-across-videos");
    expectSameSteps(run);
    expectSameFrames(run, 0, 0, 2);
    const single = await repeat("decode-chunk-2");
    expect(run.frames[1]!.shape).toEqual(single.frames[0]!.shape);
  });
});
