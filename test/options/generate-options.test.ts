/** Are options checked at the door, named in messages, and put together from caller, preset and checkpoint? */
import { describe, expect, it } from "vitest";
import { generateSchema, type OptionName, presentationOf } from "../../src/options/generate-options.ts";
import { expectationOf } from "../../src/options/option-text.ts";
import { parseSettings } from "../../src/options/parse-settings.ts";
import { resolveSettings } from "../../src/options/resolve-settings.ts";

const checkpoint = { width: 1024, height: 576, numFrames: 25, preset: {} };
const message = (given: Record<string, unknown>): string => {
  try {
    resolveSettings(given, checkpoint);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("no error was thrown");
};

describe("bad values", () => {
  it.each([
    [{ width: 1001 }, "generate: width is 1001, expected a whole number from 16 to 8192, a multiple of 8"],
    [{ height: 12 }, "generate: height is 12, expected a whole number from 16 to 8192, a multiple of 8"],
    [{ numFrames: 0 }, "generate: numFrames is 0, expected a whole number from 1 to 1024"],
    [{ numInferenceSteps: 2.5 }, "generate: numInferenceSteps is 2.5, expected a whole number from 1 to 1000"],
    [{ decodeChunkSize: 0 }, "generate: decodeChunkSize is 0, expected a whole number of 1 or more"],
    [{ cacheInterval: 0 }, "generate: cacheInterval is 0, expected a whole number from 1 to 1000"],
    [{ cache_interval: 1.5 }, "generate: cacheInterval is 1.5, expected a whole number from 1 to 1000"],
    [{ chunkFeedForward: 65 }, "generate: chunkFeedForward is 65, expected a whole number from 1 to 64"],
    [{ guidanceInterval: 3 }, "generate: guidanceInterval is 3, expected a list of 2, each a number of 0 or more"],
    [{ guidanceInterval: [1] }, "generate: guidanceInterval is [1], expected a list of 2, each a number of 0 or more"],
    [
      { guidanceInterval: [1, 2, 3] },
      "generate: guidanceInterval is [1,2,3], expected a list of 2, each a number of 0 or more",
    ],
    [
      { guidanceInterval: [-1, 2] },
      "generate: guidanceInterval is [-1,2], expected a list of 2, each a number of 0 or more",
    ],
    [{ fps: "7" }, 'generate: fps is "7", expected a number from 1 to 240'],
    [{ motionBucketId: -1 }, "generate: motionBucketId is -1, expected a number from 0 to 1023"],
    [{ noiseAugStrength: Number.NaN }, "generate: noiseAugStrength is NaN, expected a number from 0 to 10"],
    [
      { minGuidanceScale: Number.POSITIVE_INFINITY },
      "generate: minGuidanceScale is Infinity, expected a number from 0 to 100",
    ],
    [{ fit: "squash" }, 'generate: fit is "squash", expected stretch, crop, pad'],
    [{ decodeMode: "fast" }, 'generate: decodeMode is "fast", expected exact, reference'],
    [
      { sigmas: [1] },
      "generate: sigmas is [1], expected karras, ays or a list of 2 or more, each a number of 0 or more",
    ],
    [
      { seed: 1.5 },
      "generate: seed is 1.5, expected a whole number from -2^63 to 2^64-1 or a list of 1 or more, each a whole number from -2^63 to 2^64-1",
    ],
    [
      { latents: [1, 2] },
      "generate: latents is [1,2], expected a float32 tensor { dtype, shape, data } whose data fills its shape",
    ],
    [
      { outputType: "gif" },
      'generate: outputType is "gif", expected one of images, floats, latents, pil, np, pt, latent',
    ],
    [{ signal: {} }, "generate: signal is {}, expected an AbortSignal"],
    [{ onStep: 3 }, "generate: onStep is 3, expected a function"],
    [{ num_frames: 2, numFrames: 3 }, "generate: numFrames is given twice, in two spellings; keep one"],
    [
      { generator: 1 },
      "generate: generator is Python's; seed: 42 takes the place of torch.manual_seed(42), a list of seeds that of a list of generators",
    ],
  ])("%o", (given, expected) => expect(message(given)).toBe(expected));

  it("name every problem at once", () => {
    expect(message({ width: 7, fps: 0 }).split("\n")).toHaveLength(2);
  });

  it("suggest the option that was meant", () => {
    expect(message({ frames: 3 })).toBe("generate: frames is not an option; did you mean numFrames?");
    expect(message({ motionBucket: 3 })).toBe("generate: motionBucket is not an option; did you mean motionBucketId?");
    expect(message({ colour: 3 })).toMatch(
      /^generate: colour is not an option; the options are width, height, numFrames/,
    );
  });
});

describe("what is in force", () => {
  it("is the reference's defaults, with the checkpoint's size and frames", () => {
    const { settings, outputType } = resolveSettings({ seed: 7 }, checkpoint);
    expect(outputType).toBe("images");
    expect(settings).toEqual({
      width: 1024,
      height: 576,
      numFrames: 25,
      decodeChunkSize: 1,
      decodeMode: "exact",
      numInferenceSteps: 25,
      scheduler: "euler",
      fps: 7,
      motionBucketId: 127,
      noiseAugStrength: 0.02,
      minGuidanceScale: 1,
      maxGuidanceScale: 3,
      fit: "stretch",
      cacheInterval: 1,
      chunkFeedForward: 1,
      numVideosPerPrompt: 1,
      noiseDtype: "fp32",
      seed: 7,
    });
  });

  it("takes the preset over the defaults, and the caller over both", () => {
    const preset = { width: 192, numInferenceSteps: 12, fps: 9 };
    const { settings } = resolveSettings({ fps: 10, num_inference_steps: null }, { ...checkpoint, preset });
    expect(settings).toMatchObject({ width: 192, height: 576, numInferenceSteps: 12, fps: 10 });
  });

  it("chooses a seed of 32 bits when none is given, another one each time", () => {
    const seeds = Array.from({ length: 4 }, () => resolveSettings({}, checkpoint).settings.seed as number);
    expect(new Set(seeds).size).toBe(4);
    for (const seed of seeds) expect(seed).toBeLessThan(2 ** 32);
  });

  it("has no default number of steps beside custom sigmas", () => {
    expect(resolveSettings({ sigmas: [10, 1, 0] }, checkpoint).settings.numInferenceSteps).toBeUndefined();
  });

  it("accepts the names and output types of the Python call", () => {
    const { settings, outputType } = resolveSettings(
      { decode_chunk_size: 8, motion_bucket_id: 180, noise_aug_strength: 0.1, num_frames: 14, output_type: "np" },
      checkpoint,
    );
    expect(settings).toMatchObject({ decodeChunkSize: 8, motionBucketId: 180, noiseAugStrength: 0.1, numFrames: 14 });
    expect(outputType).toBe("floats");
  });

  it("decodes small clips at once, others a quarter of a megapixel at a time, or all frames as the reference does", () => {
    const chunk = (options: Record<string, unknown>) => resolveSettings(options, checkpoint).settings.decodeChunkSize;
    expect(chunk({ width: 448, height: 256, numFrames: 5 })).toBe(2);
    expect(chunk({ width: 448, height: 256, numFrames: 4 })).toBe(4);
    expect(chunk({ width: 512, height: 320 })).toBe(1);
    expect(chunk({ width: 128, height: 128 })).toBe(25);
    expect(chunk({ width: 8192, height: 8192 })).toBe(1);
    expect(chunk({ width: 512, height: 320, decodeChunkSize: 30 })).toBe(25);
    expect(chunk({ decodeMode: "reference" })).toBe(25);
  });

  it("lets the caller's steps take the place of a preset's sigmas, and the reverse", () => {
    const preset = { sigmas: [10, 1, 0] };
    expect(resolveSettings({}, { ...checkpoint, preset }).settings).toMatchObject({
      sigmas: [10, 1, 0],
      numInferenceSteps: undefined,
    });
    expect(resolveSettings({ numInferenceSteps: 4 }, { ...checkpoint, preset }).settings).toMatchObject({
      sigmas: undefined,
      numInferenceSteps: 4,
    });
    expect(resolveSettings({ sigmas: [5, 0] }, { ...checkpoint, preset }).settings.sigmas).toEqual([5, 0]);
  });
});

describe("presentation", () => {
  it.each(Object.keys(generateSchema.shape) as OptionName[])("%s has a flag, help and words for its values", (name) => {
    expect(presentationOf(name)).toMatchObject({ flag: expect.stringMatching(/^[a-z-]+$/), help: expect.any(String) });
    expect(expectationOf(name)).toMatch(/^(a |stretch|fp32|euler|karras|exact)/);
  });

  it("parses nothing that it does not know", () => {
    expect(() => parseSettings("POST /clips", { steps: 3 })).toThrow(
      "POST /clips: steps is not an option; did you mean numInferenceSteps?",
    );
  });
});
