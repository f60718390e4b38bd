/** Does a run leave its caller free, stop when told to, repeat itself exactly, and refuse what cannot work? */
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, Session } from "../../src/engine/engine.ts";
import { createOrtEngine } from "../../src/engine/ort/ort-engine.ts";
import { StillmotionError } from "../../src/errors.ts";
import { createImage } from "../../src/image/image.ts";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import type { ProgressEvent } from "../../src/pipeline/progress.ts";
import { floatTensor } from "../../src/tensor.ts";
import { picture } from "../support/picture.ts";
import { engineWithMemory, platformOf } from "../support/platform.ts";

const folder = join(import.meta.dirname, "..", "checkpoints", "two-levels-fp32");
const small = { width: 48, height: 32, numFrames: 2, numInferenceSteps: 2, seed: 3 };

let pipe: StableVideoDiffusionPipeline;
const events: ProgressEvent[] = [];
beforeAll(async () => {
  pipe = await StableVideoDiffusionPipeline.fromPretrained(folder, {
    threads: 2,
    onProgress: (e) => void events.push(e),
  });
});
afterAll(() => pipe.dispose());

/** The error of a call, which must be ours. */
async function failure(run: Promise<unknown>): Promise<StillmotionError> {
  const error = await run.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(StillmotionError);
  return error as StillmotionError;
}

describe("a run", () => {
  it("repeats itself to the byte with the same seed, and differs with another", async () => {
    const first = await pipe.generate(picture, small);
    const second = await pipe.generate(picture, { ...small, seed: 3n });
    const third = await pipe.generate(picture, { ...small, seed: 4 });
    expect(second.frames[0]!.map(({ data }) => [...data])).toEqual(first.frames[0]!.map(({ data }) => [...data]));
    expect(third.latents.data).not.toEqual(first.latents.data);
  });

  it("gives back settings that make the same clip when they are used again", async () => {
    const first = await pipe.generate(picture, { ...small, seed: undefined });
    const again = await pipe.generate(picture, first.settings);
    expect(again.latents.data).toEqual(first.latents.data);
  });

  it("makes the same clip however it is decoded into images or floats", async () => {
    const { frames } = await pipe.generate(picture, { ...small, outputType: "floats" });
    const images = await pipe.generate(picture, small);
    const [height, width] = [32, 48];
    expect(frames[0]!.shape).toEqual([2, height, width, 3]);
    const bytes = [...frames[0]!.data.subarray(0, 30)].map((value) => Math.round(value * 255));
    expect([...images.frames[0]![0]!.data.subarray(0, 30)]).toEqual(bytes);
  });

  it("stops before decoding when latents are asked for", async () => {
    events.length = 0;
    const { frames, latents } = await pipe.generate(picture, { ...small, outputType: "latents" });
    expect(frames).toEqual([]);
    expect(latents.shape).toEqual([1, 2, 4, 8, 12]);
    expect(events.some(({ stage }) => stage === "vae decoder")).toBe(false);
  });

  it("holds one network at a time, in order, and says so", async () => {
    events.length = 0;
    await pipe.generate(picture, small);
    const changes = events.filter(({ state }) => state !== "running").map(({ stage, state }) => `${stage} ${state}`);
    expect(changes).toEqual(
      ["image encoder", "vae encoder", "conditioning", "unet", "vae decoder"].flatMap((stage) => [
        `${stage} loading`,
        `${stage} released`,
      ]),
    );
  });

  it("makes several clips of several pictures, first picture first", async () => {
    const other = createImage(
      90,
      60,
      picture.data.map((value) => 255 - value),
    );
    const { frames } = await pipe.generate([picture, other], { ...small, numVideosPerPrompt: 2, seed: [1, 2, 3, 4] });
    expect(frames).toHaveLength(4);
    expect(new Set(frames.map(([frame]) => frame!.data.join())).size).toBe(4);
  });

  it("draws its latents in half precision when asked to", async () => {
    const odd = { ...small, width: 56, height: 24, numFrames: 1, outputType: "latents" } as const;
    const single = await pipe.generate(picture, odd);
    const half = await pipe.generate(picture, { ...odd, noiseDtype: "fp16" });
    expect(half.latents.data).not.toEqual(single.latents.data);
  });
});

describe("the caller", () => {
  it("ends a run inside a step, and can start another", async () => {
    const controller = new AbortController();
    const ended: string[] = [];
    let isAsked = false;
    const engine = await createOrtEngine({ threads: 2 });
    const load: Engine["load"] = async (model, loading) => {
      const session = await engine.load(model, loading);
      const run: Session["run"] = (inputs, running) => {
        const results = session.run(inputs, running);
        const note = (how: string) => ended.push(`${model.name} ${how}`);
        results.then(
          () => note("to its end"),
          ({ code }) => note(code),
        );
        if (model.name === "unet" && !isAsked) {
          isAsked = true;
          setTimeout(() => controller.abort(new Error("enough")), 50);
        }
        return results;
      };
      return { ...session, run };
    };
    const checkpoint = await openCheckpoint(folder);
    await using own = new StableVideoDiffusionPipeline(checkpoint, platformOf({ ...engine, load }));
    const large = { ...small, width: 512, height: 512, numFrames: 14 };
    const error = await failure(own.generate(picture, { ...large, signal: controller.signal }));
    expect(error.code).toBe("aborted");
    expect((error.cause as Error).message).toBe("enough");
    expect(ended.filter((end) => end.startsWith("unet"))).toEqual(["unet aborted"]);
    expect((await own.generate(picture, small)).frames).toHaveLength(1);
  });

  it("gets the abort at once when the signal fired before", async () => {
    expect((await failure(pipe.generate(picture, { ...small, signal: AbortSignal.abort() }))).code).toBe("aborted");
  });

  it("hears its own error when a callback throws, and can go on", async () => {
    const run = pipe.generate(picture, {
      ...small,
      onStep: () => {
        throw new Error("mine");
      },
    });
    await expect(run).rejects.toThrow("mine");
    expect((await pipe.generate(picture, small)).frames).toHaveLength(1);
  });
});

describe("a UNet from a file", () => {
  it("takes the place of the checkpoint's, and brings the sampler that its name stands for", async () => {
    const temporary = await mkdtemp(join(tmpdir(), "stillmotion-unet-"));
    try {
      const unet = join(temporary, "AnimateLCM-small.safetensors");
      await copyFile(join(folder, "unet", "diffusion_pytorch_model.safetensors"), unet);
      await using swapped = await StableVideoDiffusionPipeline.fromPretrained(folder, { unet });
      const { settings } = await swapped.generate(picture, { ...small, numInferenceSteps: undefined });
      expect(settings).toMatchObject({ scheduler: "animate-lcm", numInferenceSteps: 4, maxGuidanceScale: 1 });
      // The same weights from elsewhere, with the usual sampler: the same clip.
      const asUsual = { ...small, outputType: "latents", scheduler: "euler", maxGuidanceScale: 3 } as const;
      const { latents } = await swapped.generate(picture, asUsual);
      expect(latents.data).toEqual((await pipe.generate(picture, asUsual)).latents.data);
    } finally {
      await rm(temporary, { recursive: true });
    }
  });
});

describe("what cannot work", () => {
  it("is refused before anything is loaded", async () => {
    events.length = 0;
    const wrong = [
      [{ latents: floatTensor([1, 2, 4, 8, 8]) }, /latents has shape \[1, 2, 4, 8, 8\], expected \[1, 2, 4, 8, 12\]/],
      [{ seed: [1, 2] }, /seed has 2 entries, expected one for all clips or 1/],
      [{ sigmas: [1, 2, 0], numInferenceSteps: undefined }, /sigmas/],
      [{ sigmas: [2, 1, 0], numInferenceSteps: 5 }, /3 levels make 2 steps, but numInferenceSteps is 5/],
    ] as const;
    for (const [options, message] of wrong) {
      const error = await failure(pipe.generate(picture, { ...small, ...options } as never));
      expect(error.code).toBe("invalid-option");
      expect(error.message).toMatch(message);
    }
    expect((await failure(pipe.generate([], small))).code).toBe("invalid-image");
    expect((await failure(pipe.generate(null as never, small))).code).toBe("invalid-image");
    expect((await failure(pipe.generate({ width: 2, height: 2, data: new Uint8Array(3) }, small))).code).toBe(
      "invalid-image",
    );
    expect(events).toEqual([]);
  });

  it("is refused when a callback returns latents of another shape", async () => {
    const error = await failure(pipe.generate(picture, { ...small, onStep: () => floatTensor([1]) }));
    expect(error.message).toMatch(
      /onStep returned latents of shape \[1\], expected nothing or a float32 tensor of shape \[1,2,4,8,12\]/,
    );
  });

  it("names what would fit when memory is short", { timeout: 120_000 }, async () => {
    const checkpoint = await openCheckpoint(folder);
    const real = await createOrtEngine();
    const tight = (availableBytes: number) => engineWithMemory(real, () => availableBytes);
    const decode = { ...small, width: 128, height: 128, numFrames: 8 };
    const chunked = new StableVideoDiffusionPipeline(checkpoint, platformOf(tight(200e6)));
    const error = await failure(chunked.generate(picture, decode));
    expect(error.code).toBe("out-of-memory");
    expect(error.message).toMatch(
      /^generate: the vae decoder needs about [\d.]+ MB for 8 frames of 128x128, 200\.0 MB are free; decodeChunkSize \d would fit$/,
    );
    const chunk = Number(/decodeChunkSize (\d)/.exec(error.message)![1]);
    expect(
      (await chunked.generate(picture, { ...decode, numInferenceSteps: 1, decodeChunkSize: chunk })).frames[0],
    ).toHaveLength(8);
    const hopeless = new StableVideoDiffusionPipeline(checkpoint, platformOf(tight(1e6)));
    expect((await failure(hopeless.generate(picture, small))).message).toMatch(/no smaller clip would fit either/);
    await real.dispose();
  });

  it("is refused when loading: dtype, device, folder", async () => {
    const load = (path: string, options: object) => failure(StableVideoDiffusionPipeline.fromPretrained(path, options));
    expect((await load(folder, { dtype: "fp64" })).message).toMatch(
      /dtype is "fp64", this version computes in fp32 or int8/,
    );
    expect((await load(folder, { varient: "fp16" })).message).toMatch(
      /varient is not an option; the options are variant, dtype/,
    );
    expect((await load(folder, { device: "cuda" })).code).toBe("unsupported");
    expect((await load("no-such-folder", {})).code).toBe("invalid-checkpoint");
  });

  it("is a closed engine after dispose", async () => {
    const closed = await StableVideoDiffusionPipeline.fromPretrained(folder);
    await closed.dispose();
    await closed.dispose();
    expect((await failure(closed.generate(picture, small))).code).toBe("engine");
  });
});
