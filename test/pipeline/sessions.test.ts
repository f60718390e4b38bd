/** Which networks stay loaded between calls, when do they make way, and is the clip the same whatever is chosen? */
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import type { ProgressEvent } from "../../src/pipeline/progress.ts";
import type { FloatTensor } from "../../src/tensor.ts";
import { picture } from "../support/picture.ts";
import { platformOf } from "../support/platform.ts";
import { type WatchedEngine, watchedEngine } from "../support/watched-engine.ts";

const small = { width: 48, height: 32, numFrames: 3, numInferenceSteps: 1, seed: 3 } as const;
const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "checkpoints", "two-levels-fp32"));
const stages = ["image encoder", "vae encoder", "conditioning", "unet", "vae decoder"];

const opened: StableVideoDiffusionPipeline[] = [];
afterEach(async () => {
  for (const pipe of opened.splice(0)) await pipe.dispose();
});

function open(watched: WatchedEngine, offload: "model" | "none") {
  const events: ProgressEvent[] = [];
  const onProgress = (event: ProgressEvent) => void events.push(event);
  const pipe = new StableVideoDiffusionPipeline(checkpoint, platformOf(watched.engine), { onProgress, offload });
  opened.push(pipe);
  const changes = () => {
    const told = events.filter(({ state }) => state !== "running").map(({ stage, state }) => `${state} ${stage}`);
    events.length = 0;
    return { done: watched.changes.splice(0), told };
  };
  return { pipe, changes };
}

describe('with offload "none"', () => {
  it("networks are loaded once, and a second call of the same size loads nothing", async () => {
    const watched = await watchedEngine();
    const { pipe, changes } = open(watched, "none");
    const first = await pipe.generate(picture, small);
    expect(changes()).toEqual({
      done: stages.map((stage) => `load ${stage}`),
      told: stages.flatMap((stage) => [`loading ${stage}`, `kept ${stage}`]),
    });
    const second = await pipe.generate(picture, { ...small, numVideosPerPrompt: 2, seed: [3, 5] });
    expect(changes()).toEqual({ done: [], told: stages.map((stage) => `kept ${stage}`) });
    expect(second.frames[0]).toEqual(first.frames[0]);
    expect(watched.loaded()).toBe(stages.length);
  });

  it("both lengths of decoder stay that a clip in chunks needs", async () => {
    const watched = await watchedEngine();
    const { pipe, changes } = open(watched, "none");
    const chunks = { ...small, decodeChunkSize: 2, decodeMode: "reference" as const }; // 3 frames: a chunk of two, then one of one
    await pipe.generate(picture, chunks);
    expect(changes().done.filter((change) => change === "load vae decoder")).toHaveLength(2);
    await pipe.generate(picture, chunks);
    expect(changes().done).toEqual([]);
  });

  it("so do the segments of a decoder that gets a window of the frames, and the stage says so once", async () => {
    const watched = await watchedEngine();
    const { pipe, changes } = open(watched, "none");
    const windows = { ...small, decodeChunkSize: 2 };
    await pipe.generate(picture, windows);
    const { done, told } = changes();
    expect(done.filter((change) => change.startsWith("load vae decoder")).length).toBeGreaterThan(2);
    expect(told.slice(-2)).toEqual(["loading vae decoder", "kept vae decoder"]);
    await pipe.generate(picture, windows);
    expect(changes()).toEqual({ done: [], told: stages.map((stage) => `kept ${stage}`) });
  });

  it("those of another size make way before the new ones are loaded; the image encoder has one size", async () => {
    const watched = await watchedEngine();
    const { pipe, changes } = open(watched, "none");
    await pipe.generate(picture, { ...small, cacheInterval: 2 });
    changes();
    await pipe.generate(picture, { ...small, width: 64 });
    expect(changes().done).toEqual([
      ...["release vae encoder", "load vae encoder"],
      ...["release unet", "release unet", "load unet"],
      ...["release vae decoder", "load vae decoder"],
    ]);
    expect(watched.loaded()).toBe(stages.length);
  });

  it("a run that is stopped keeps what is loaded, and the next one goes on with it", async () => {
    const watched = await watchedEngine();
    const { pipe, changes } = open(watched, "none");
    const controller = new AbortController();
    const onStep = () => controller.abort();
    const stopped = pipe.generate(picture, { ...small, numInferenceSteps: 3, signal: controller.signal, onStep });
    await expect(stopped).rejects.toMatchObject({ code: "aborted" });
    expect(changes().told.at(-1)).toBe("kept unet");
    expect((await pipe.generate(picture, small)).frames[0]).toHaveLength(3);
    expect(changes().done).toEqual(["load vae decoder"]);
  });

  it("a network that two calls loaded at the same time is kept once", async () => {
    const watched = await watchedEngine();
    const { pipe } = open(watched, "none");
    const [one, other] = await Promise.all([pipe.generate(picture, small), pipe.generate(picture, small)]);
    expect(one.frames).toEqual(other.frames);
    expect(watched.loaded()).toBe(stages.length);
  });

  it("what one call runs is not released by another of another size", async () => {
    const watched = await watchedEngine();
    const { pipe } = open(watched, "none");
    const sizes = [small, { ...small, width: 64 }, { ...small, height: 48 }];
    const together = await Promise.all(sizes.map((size) => pipe.generate(picture, size)));
    for (const [index, size] of sizes.entries()) {
      expect((await pipe.generate(picture, size)).frames).toEqual(together[index]!.frames);
    }
  });

  it("dispose ends them", async () => {
    const watched = await watchedEngine();
    const { pipe } = open(watched, "none");
    await pipe.generate(picture, small);
    await pipe.dispose();
    await expect(pipe.generate(picture, small)).rejects.toMatchObject({ code: "engine" });
  });
});

describe("the clip is the same", () => {
  it("for every chunkFeedForward, offload and decodeChunkSize", { timeout: 120_000 }, async () => {
    const pipes = [open(await watchedEngine(), "model").pipe, open(await watchedEngine(), "none").pipe];
    let exact: FloatTensor | undefined;
    const decodedAlike = new Map<number, FloatTensor>();
    for (const chunkFeedForward of [1, 3]) {
      for (const decodeChunkSize of [1, 2, 3]) {
        for (const pipe of pipes) {
          const options = { ...small, decodeChunkSize, chunkFeedForward, outputType: "floats" } as const;
          const [clip] = (await pipe.generate(picture, options)).frames;
          exact ??= clip!;
          expect(largestDifference(clip!, exact)).toBeLessThanOrEqual(1e-5);
          const alike = decodedAlike.get(decodeChunkSize) ?? clip!;
          decodedAlike.set(decodeChunkSize, alike);
          expect(largestDifference(clip!, alike)).toBeLessThanOrEqual(1e-6);
        }
      }
    }
  });
});

function largestDifference(a: FloatTensor, b: FloatTensor): number {
  return a.data.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b.data[i]!)), 0);
}
