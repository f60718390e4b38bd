/** DeepCache in a run: which evaluations are whole, what do the others take, and does everything else stay as it was? */
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { DeviceTensor } from "../../src/engine/engine.ts";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import type { GenerateOptions } from "../../src/options/generate-call.ts";
import type { DenoiseStep } from "../../src/pipeline/denoise-step.ts";
import type { ProgressEvent } from "../../src/pipeline/progress.ts";
import { picture } from "../support/picture.ts";
import { platformOf } from "../support/platform.ts";
import { type WatchedEngine, watchedEngine } from "../support/watched-engine.ts";

let watched: WatchedEngine;
let pipe: StableVideoDiffusionPipeline;
/** On the same engine: its networks stay loaded, for tests of what is evaluated. */
let quickPipe: StableVideoDiffusionPipeline;
const events: ProgressEvent[] = [];
beforeAll(async () => {
  watched = await watchedEngine();
  const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "checkpoints", "two-levels-fp32"));
  pipe = new StableVideoDiffusionPipeline(checkpoint, platformOf(watched.engine), {
    onProgress: (event) => events.push(event),
  });
  quickPipe = new StableVideoDiffusionPipeline(checkpoint, platformOf(watched.engine), { offload: "none" });
});
afterAll(() => pipe.dispose());
beforeEach(() => {
  watched.runs.length = 0;
  watched.changes.length = 0;
  events.length = 0;
});

/** The latents, those after each step, and the UNet's evaluations: W whole, s shallow; with guidance each is two. */
async function run(options: Partial<GenerateOptions<"latents">>, images = [picture], pipeline = quickPipe) {
  const steps: DenoiseStep[] = [];
  watched.runs.length = 0;
  const { latents } = await pipeline.generate(images, {
    width: 48,
    height: 32,
    numFrames: 2,
    numInferenceSteps: 7,
    maxGuidanceScale: 1,
    seed: 4,
    outputType: "latents",
    onStep: (step) => void steps.push(step),
    ...options,
  });
  const evaluations = watched.runs.filter(({ network }) => network === "unet");
  return {
    latents: latents.data,
    steps: steps.map((step) => step.latents.data),
    kinds: evaluations.map(({ inputs }) => ("deep_feature" in inputs ? "s" : "W")).join(""),
  };
}

/** What shallow evaluations were given. */
function featuresRead(): DeviceTensor[] {
  return watched.runs.flatMap(({ inputs }) => (inputs.deep_feature ? [inputs.deep_feature as DeviceTensor] : []));
}

describe("the whole UNet runs", () => {
  it.each([
    [{}, "WWWWWWW"],
    [{ cacheInterval: 2 }, "WsWsWsW"],
    [{ cacheInterval: 3 }, "WssWssW"],
    [{ cacheInterval: 100 }, "Wssssss"],
    // Both halves of one evaluation are of one kind.
    [{ cacheInterval: 3, maxGuidanceScale: 3 }, "WWssssWWssssWW"],
    // Heun evaluates twice a step and once in the last: it is evaluations that count.
    [{ cacheInterval: 3, scheduler: "heun", numInferenceSteps: 3 }, "WssWs"],
    [{ cacheInterval: 2, scheduler: "dpmpp-2m", numInferenceSteps: 3 }, "WsW"],
    [{ cacheInterval: 2, scheduler: "animate-lcm", numInferenceSteps: 4 }, "WsWs"],
  ] as const)("%o: %s", async (options, kinds) => {
    expect((await run(options)).kinds).toBe(kinds);
  });

  it("for each clip by itself", async () => {
    const { kinds } = await run({ cacheInterval: 3, numInferenceSteps: 4, seed: [3, 4] }, [picture, picture]);
    expect(kinds).toBe("WWssssWW");
  });

  it("anew for both halves where guidance begins between two whole evaluations", async () => {
    const { kinds } = await run({ cacheInterval: 4, maxGuidanceScale: 3, guidanceInterval: [0, 100] });
    // Of the levels, 700 and 207 lie above the interval: the third evaluation is the first that is guided.
    expect(kinds).toBe("WsWWssssssWW");
  });
});

describe("a run with it", () => {
  it("takes the same first step, then another way, and repeats itself to the byte", async () => {
    const exact = await run({});
    const cached = await run({ cacheInterval: 3 });
    expect(cached.steps[0]).toEqual(exact.steps[0]);
    expect(cached.steps[1]).not.toEqual(exact.steps[1]);
    expect(cached.latents.every(Number.isFinite)).toBe(true);
    expect((await run({ cacheInterval: 3 })).latents).toEqual(cached.latents);
  });

  it("hands a shallow evaluation the feature of its own clip and half", async () => {
    const options = { cacheInterval: 2, numInferenceSteps: 2, maxGuidanceScale: 3 } as const;
    const both = await run({ ...options, seed: [3, 4] }, [picture, picture]);
    expect(new Set(featuresRead()).size).toBe(4);
    const alone = await run({ ...options, seed: [4] });
    expect(both.latents.subarray(alone.latents.length)).toEqual(alone.latents);
  });

  it("leaves the feature on the device, until the next one takes its place or the stage ends", async () => {
    const steps = vi.fn();
    const onStep = async ({ step }: DenoiseStep) => {
      if (step === 2) expect((await featuresRead()[0]!.read()).data.every(Number.isFinite)).toBe(true);
      if (step === 3) await expect(featuresRead()[0]!.read()).rejects.toThrow("was released");
      steps();
    };
    await run({ cacheInterval: 2, numInferenceSteps: 4, onStep });
    expect(steps).toHaveBeenCalledTimes(4);
    expect(featuresRead()).toHaveLength(2);
    for (const feature of featuresRead()) await expect(feature.read()).rejects.toThrow("was released");
  });

  it("leaves no feature on the device when it fails", async () => {
    const onStep = ({ step }: DenoiseStep) => {
      if (step === 2) throw new Error("enough");
    };
    await expect(run({ cacheInterval: 3, onStep })).rejects.toThrow("enough");
    await expect(featuresRead()[0]!.read()).rejects.toThrow("was released");
  });

  it("loads both networks for the stage, tells of it once, and releases both", async () => {
    const before = watched.loaded();
    await run({ cacheInterval: 3 }, [picture], pipe);
    expect(watched.changes.filter((change) => change.endsWith("unet"))).toEqual([
      ...["load unet", "load unet", "release unet", "release unet"],
    ]);
    expect(watched.loaded()).toBe(before);
    const unet = events.filter(({ stage }) => stage === "unet");
    expect(unet.map(({ state }) => state).filter((state) => state !== "running")).toEqual(["loading", "released"]);
    expect(unet.filter(({ state }) => state === "running").map(({ done }) => done)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it("ends inside a shallow evaluation when told to, and releases both", async () => {
    const before = watched.loaded();
    const controller = new AbortController();
    const onStep = ({ step }: DenoiseStep) => {
      if (step === 1) setTimeout(() => controller.abort(), 1); // step 2 is shallow
    };
    const large = { width: 192, height: 128, numFrames: 8 };
    const stopped = run({ cacheInterval: 3, ...large, signal: controller.signal, onStep }, [picture], pipe);
    await expect(stopped).rejects.toMatchObject({ code: "aborted" });
    expect(watched.runs.at(-1)!.inputs).toHaveProperty("deep_feature");
    expect(watched.loaded()).toBe(before);
  });
});
