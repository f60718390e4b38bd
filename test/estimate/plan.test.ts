/** What does a plan say of a run, and what is chosen where memory is bounded? */
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { textWithFlags } from "../../src/cli/errors.ts";
import { type Plan, planRun } from "../../src/estimate/plan.ts";
import { createImage, type Image } from "../../src/image/image.ts";
import type { Dtype } from "../../src/lowering/lowerings.ts";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import type { GenerateOptions } from "../../src/options/generate-call.ts";
import type { OutputType } from "../../src/options/resolve-settings.ts";
import { movedMapBytes } from "../../src/streaming/segment-windows.ts";
import { engineWithMemory, networksOf, platformOf } from "../support/platform.ts";
import { watchedEngine } from "../support/watched-engine.ts";

const checkpoint = await openCheckpoint(join(import.meta.dirname, "../checkpoints/two-levels-fp32"));
const watched = await watchedEngine();
afterAll(() => watched.engine.dispose());
const pipeIn = (dtype: Dtype, engine = watched.engine) =>
  new StableVideoDiffusionPipeline(checkpoint, platformOf(engine), { dtype, preset: "diffusers" });
const pipe = pipeIn("fp32");

const small = { width: 48, height: 32, numFrames: 3, numInferenceSteps: 2, seed: 1 };
const picture = createImage(4, 4, new Uint8Array(48));

/** What the networks were run for in one call, calibration left out. */
async function runsOf(options: GenerateOptions<OutputType>, pictures = 1): Promise<Record<string, number>> {
  watched.runs.length = 0;
  await pipe.generate(Array<Image>(pictures).fill(picture), options);
  const counts: Record<string, number> = {};
  for (const { network } of watched.runs) counts[network] = (counts[network] ?? 0) + 1;
  return counts;
}

describe("the runs of the UNet that are planned are those of the call:", { timeout: 60_000 }, () => {
  it.each<[string, GenerateOptions<OutputType>, number]>([
    ["guided", {}, 1],
    ["unguided", { maxGuidanceScale: 1 }, 1],
    ["guided at some noise levels", { numInferenceSteps: 4, guidanceInterval: [1, 800] }, 1],
    ["with Heun, whose last step is Euler's", { scheduler: "heun", numInferenceSteps: 3 }, 1],
    ["with DeepCache", { cacheInterval: 3, numInferenceSteps: 5 }, 1],
    ["for several clips of two pictures", { numVideosPerPrompt: 2, seed: 1 }, 2],
    ["with noise levels of its own", { sigmas: [500, 20, 1, 0], numInferenceSteps: undefined }, 1],
  ])("%s", async (_, options, pictures) => {
    const { whole, shallow } = (await pipe.plan(pictures, { ...small, ...options })).unetRuns;
    const { unet } = await runsOf({ ...small, ...options, outputType: "latents" }, pictures);
    expect(whole + shallow).toBe(unet);
    expect(shallow > 0).toBe("cacheInterval" in options);
  });
});

describe("a plan", { timeout: 60_000 }, () => {
  const sum = (plan: Plan) => plan.stages.reduce((all, stage) => all + stage.loadSeconds + stage.runSeconds, 0);

  it("has each stage with its memory and time, their sums, and the settings in force; it loads no network", async () => {
    watched.changes.length = 0;
    const plan = await pipeIn("fp32").plan(picture, small);
    expect(plan.stages.map(({ stage }) => stage)).toEqual([
      "image encoder",
      "vae encoder",
      "conditioning",
      "unet",
      "vae decoder",
    ]);
    for (const { peakBytes, loadSeconds, runSeconds } of plan.stages) {
      expect(peakBytes).toBeGreaterThan(process.memoryUsage.rss() / 2);
      expect(Math.min(loadSeconds, runSeconds)).toBeGreaterThan(0);
    }
    expect(plan.peakBytes).toBe(Math.max(...plan.stages.map(({ peakBytes }) => peakBytes)));
    expect(plan.seconds).toBeCloseTo(sum(plan), 9);
    expect(plan.settings).toEqual(pipe.settingsFor(small));
    expect(plan).toMatchObject({ dtype: "fp32", offload: "model", clips: 1 });
    expect(plan.advice).toBeUndefined();
    expect(watched.changes.filter((change) => !change.includes("calibration"))).toEqual([]);
  });

  it("measures the machine once, whatever is planned", async () => {
    await pipe.plan(1, { ...small, seed: 2n ** 60n });
    watched.changes.length = 0;
    await pipe.plan(2, small);
    expect(watched.changes).toEqual([]);
  });

  it("measures on for the others when one of its callers ends the wait", async () => {
    const own = pipeIn("fp32");
    const controller = new AbortController();
    const ended = own.plan(1, { ...small, signal: controller.signal });
    const other = own.plan(1, small);
    setTimeout(() => controller.abort(), 20);
    await expect(ended).rejects.toMatchObject({ code: "aborted" });
    expect((await other).seconds).toBeGreaterThan(0);
  });

  it("takes longer for more steps, and ends with the UNet where no frames are asked for", async () => {
    const [short, long] = [await pipe.plan(1, small), await pipe.plan(1, { ...small, numInferenceSteps: 20 })];
    const unet = (plan: Plan) => plan.stages.find(({ stage }) => stage === "unet")!;
    expect(unet(long).runSeconds / unet(short).runSeconds).toBeCloseTo(10, 6);
    expect(unet(long).loadSeconds).toBe(unet(short).loadSeconds);
    expect((await pipe.plan(1, { ...small, outputType: "latents" })).stages.at(-1)!.stage).toBe("unet");
  });

  it("says what decoding in windows sets aside", async () => {
    expect((await pipe.plan(1, { ...small, decodeChunkSize: 3 })).scratchBytes).toBe(0);
    const { scratchBytes } = await pipe.plan(1, { ...small, decodeChunkSize: 1 });
    expect(scratchBytes).toBeGreaterThan(3 * 48 * 32 * 4);
    expect((await pipe.plan(1, { ...small, decodeChunkSize: 1, outputType: "latents" })).scratchBytes).toBe(0);
  });

  it("names the change that would fit where generate would refuse", async () => {
    let availableBytes = 1e12;
    const bounded = pipeIn(
      "fp32",
      engineWithMemory(
        watched.engine,
        () => availableBytes,
        () => 0,
      ),
    );
    const planOf = (decodeChunkSize: number) =>
      bounded.plan(1, { ...small, width: 512, height: 512, numFrames: 8, decodeChunkSize });
    const [whole, half] = [await planOf(8), await planOf(4)];
    expect(whole.advice).toBeUndefined();
    availableBytes = (whole.peakBytes + half.peakBytes) / 2;
    const plan = await planOf(8);
    expect(plan.availableBytes).toBeLessThan(plan.peakBytes);
    expect(plan.advice).toBe("decodeChunkSize 4 would fit");
    expect(textWithFlags(plan.adviceSaid!)).toBe("--decode-chunk-size 4 would fit");
  });

  it.each([0, 1.5, []])("of %j pictures is refused", async (images) => {
    await expect(pipe.plan(images as number, small)).rejects.toMatchObject({
      code: "invalid-option",
      message: expect.stringContaining("expected pictures, or how many"),
    });
  });
});

describe("the time of a stage", () => {
  const networks = networksOf(checkpoint);
  const free = {
    multiplicationsPerSecond: { product: Infinity, convolution: Infinity, attention: Infinity, int8Product: Infinity },
    movedBytesPerSecond: Infinity,
    freshBytesPerSecond: Infinity,
    scratchBytesPerSecond: Infinity,
  };
  function decoderSeconds(
    decodeChunkSize: number,
    speeds: Partial<typeof free>,
    offload: "model" | "none" = "model",
  ): number {
    const settings = { ...pipe.settingsFor(small), decodeChunkSize };
    const run = {
      settings,
      images: 2,
      offload,
      dtype: "fp32",
      weightStorage: "stored",
      evaluations: [2],
    } as const;
    const host = { heldBytes: 0, availableBytes: 1e9 };
    const plan = planRun(networks, { ...run, outputType: "images" }, { ...free, ...speeds }, { host });
    return plan.stages.at(-1)!.runSeconds;
  }

  it("counts what decoding in windows sets aside and reads again, for each clip", () => {
    const segments = networks.write.vaeDecoderSegments({ frames: 3, window: 1, height: 8, width: 12 });
    const speeds = { scratchBytesPerSecond: 1000 };
    expect(decoderSeconds(1, speeds)).toBeCloseTo((2 * movedMapBytes(segments, 3)) / 1000, 6);
    expect(decoderSeconds(3, speeds)).toBe(0);
  });

  it("counts memory that comes from the system, which all runs take once where networks do not stay loaded", () => {
    const speeds = { freshBytesPerSecond: 1000 };
    for (const decodeChunkSize of [1, 3]) {
      expect(decoderSeconds(decodeChunkSize, speeds, "none")).toBeGreaterThan(0);
      expect(decoderSeconds(decodeChunkSize, speeds)).toBe(0);
    }
  });
});

describe("with maxMemory", () => {
  const large = { width: 256, height: 256, numFrames: 8, numInferenceSteps: 1, seed: 1 };
  /** A process that holds nothing, so that figures are those of the run alone. */
  const empty = engineWithMemory(
    watched.engine,
    () => 64e9,
    () => 0,
  );
  const bounded = pipeIn("fp32", empty);
  const peak = async (options: GenerateOptions<OutputType>) =>
    (await bounded.plan(1, { ...large, ...options })).peakBytes;

  it("decodes as many frames at a time as fit, and no fewer", async () => {
    const maxMemory = (await peak({ decodeChunkSize: 2 })) + 25e6;
    const whole = await bounded.plan(1, { ...large, maxMemory: 2 * (await peak({})) });
    const plan = await bounded.plan(1, { ...large, maxMemory });
    expect(whole.settings.decodeChunkSize).toBe(8);
    expect(plan.settings).toEqual({ ...whole.settings, decodeChunkSize: 2 });
    expect(plan.peakBytes).toBeLessThan(maxMemory);
  });

  it("leaves what was given as it was, and refuses with the change that would fit", async () => {
    const maxMemory = (await peak({ decodeChunkSize: 2 })) + 1;
    await expect(bounded.plan(1, { ...large, maxMemory, decodeChunkSize: 8 })).rejects.toMatchObject({
      code: "out-of-memory",
      message: expect.stringMatching(/maxMemory [\d.]+ MB leaves .*; decodeChunkSize [12] would fit$/),
    });
    const chunks = { ...large, decodeMode: "reference" as const };
    await expect(bounded.plan(1, { ...chunks, maxMemory })).rejects.toMatchObject({ code: "out-of-memory" });
  });

  it("generates with what was chosen", { timeout: 120_000 }, async () => {
    const { settings } = await bounded.generate(picture, { ...small, maxMemory: "1GB" });
    expect(settings).toEqual(bounded.settingsFor(small));
    const maxMemory = (await peak({ decodeChunkSize: 2, numFrames: 4 })) + 25e6;
    const frugal = await bounded.generate(picture, { ...large, numFrames: 4, maxMemory });
    expect(frugal.settings.decodeChunkSize).toBe(2);
    expect(frugal.frames[0]).toHaveLength(4);
    await expect(bounded.generate(picture, { ...small, maxMemory: "1MB" })).rejects.toMatchObject({
      code: "out-of-memory",
    });
  });

  it.each(["8 potatoes", "-1GB", "0", "", "1e99", Number.NaN])("%j is no size", async (maxMemory) => {
    await expect(bounded.plan(1, { ...small, maxMemory })).rejects.toMatchObject({
      code: "invalid-option",
      message: expect.stringContaining("expected a size such as 8GB, 7.5GiB, 500MB or a number of bytes"),
    });
  });
});
