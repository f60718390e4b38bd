/** What does a run need, by its options, and which change is named where that is too much? */
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { createOrtEngine } from "../../src/engine/ort/ort-engine.ts";
import { message, messageText, option, StillmotionError } from "../../src/errors.ts";
import type { SmallerNetworks } from "../../src/estimate/advice.ts";
import { peakMemory } from "../../src/estimate/memory.ts";
import {
  assertFitsInMemory,
  type MemoryLimits,
  memoryLimits,
  whereMemoryRanOut,
} from "../../src/estimate/memory-limits.ts";
import { createImage } from "../../src/image/image.ts";
import { createCpuFp32Lowering } from "../../src/lowering/cpu/fp32.ts";
import { createCpuInt8Lowering } from "../../src/lowering/cpu/int8.ts";
import type { CreateLowering } from "../../src/lowering/lowering.ts";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import { memoryOf } from "../../src/onnx/memory.ts";
import { resolveSettings } from "../../src/options/resolve-settings.ts";
import type { Networks } from "../../src/pipeline/networks.ts";
import { createSessions } from "../../src/pipeline/sessions.ts";
import type { Run } from "../../src/pipeline/stages.ts";
import { engineWithMemory, networksOf, platformOf } from "../support/platform.ts";
import { published } from "../support/published.ts";

const checkpoint = await openCheckpoint(join(import.meta.dirname, "../checkpoints/two-levels-fp32"));
const networks = networksOf(checkpoint);
const engine = await createOrtEngine({ threads: 2 });
afterAll(() => engine.dispose());

const size = { width: 48, height: 32, numFrames: 3 };

/** A run of one picture. */
function run(options: Record<string, unknown>, more: Partial<Run> = {}): Run {
  const { settings } = resolveSettings({ ...size, seed: 1, ...options }, { ...size, preset: {} });
  return { settings, outputType: "images", images: 1, offload: "model", ...more };
}

const bytes = (of: Run) => peakMemory(networks, of).bytes;

const onePool = (limit: MemoryLimits["host"]): MemoryLimits => ({ host: limit, device: limit });

/** The message where a byte less is free than the run needs. */
function refusal(of: Run, from = networks): string {
  const tight = engineWithMemory(engine, () => peakMemory(from, of).bytes - 1);
  try {
    assertFitsInMemory(memoryLimits(tight, createSessions(tight, of.offload), undefined), from, of);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("it was let through");
}

const latents = { height: 8, width: 12 };
const weightsBytes = [
  networks.write.imageEncoder(),
  networks.write.vaeEncoder({ width: 48, height: 32 }),
  networks.write.conditioning({ frames: 3 }),
  networks.write.unet({ frames: 3, ...latents }),
  networks.write.vaeDecoder({ frames: 3, ...latents }),
].map(({ graph }) => memoryOf(graph).weightsBytes);
const allWeightsBytes = weightsBytes.reduce((sum, each) => sum + each);

describe("what a run needs", () => {
  it("is that of its largest network, and with all of them loaded the weights of the others as well", () => {
    const one = peakMemory(networks, run({}));
    const all = peakMemory(networks, run({}, { offload: "none" }));
    expect(one.bytes).toBeGreaterThan(Math.max(...weightsBytes));
    expect(all.bytes).toBeGreaterThan(allWeightsBytes);
    expect(all.bytes).toBeGreaterThan(one.bytes);
    expect(all.bytes - one.bytes).toBeLessThanOrEqual(allWeightsBytes - Math.min(...weightsBytes));
  });

  it("is more with DeepCache, and more so with guidance and for each clip: features are kept", () => {
    const of = (options: object, images = 1) =>
      bytes(run({ width: 512, height: 512, numFrames: 8, ...options }, { outputType: "latents", images }));
    const unguided = { maxGuidanceScale: 1 };
    const feature = 8 * 32 * 128 * 128 * 4; // (frames, channels of the second level, height, width) in fp32
    expect(of(unguided)).toBe(of({}));
    expect(of({ cacheInterval: 2, ...unguided }) - of({})).toBeGreaterThan(feature);
    expect(of({ cacheInterval: 2 }) - of({ cacheInterval: 2, ...unguided })).toBeCloseTo(feature, -2);
    expect(of({ cacheInterval: 2 }, 2) - of({ cacheInterval: 2 })).toBeCloseTo(2 * feature, -2);
  });
});

describe("where that is too much", () => {
  const large = { width: 512, height: 512, numFrames: 8, decodeChunkSize: 1 };

  it("the option is named that would do", () => {
    expect(refusal(run(large, { offload: "none" }))).toMatch(/; offload "model" would fit$/);
    const cached = run({ ...large, cacheInterval: 3 }, { outputType: "latents" });
    expect(refusal(cached)).toMatch(/; cacheInterval 1 would fit$/);
  });

  const svdXtIn = (create: CreateLowering = createCpuFp32Lowering) => networksOf(published(), { create });

  it("another form of the UNet's weights is named where they are too much, the one that leaves the clip first", () => {
    const inFp32 = svdXtIn((graph) => createCpuFp32Lowering(graph, "fp32"));
    const [stored, int8] = [svdXtIn(), svdXtIn(createCpuInt8Lowering)];
    const smaller = [
      { words: 'weightStorage "stored"', networks: () => stored },
      { words: 'dtype "int8"', networks: () => int8 },
    ];
    const of = run({ numFrames: 8, width: 192, height: 128 }, { outputType: "latents" });
    const enoughFor = (networks: Networks) =>
      onePool({ bytes: peakMemory(networks, of).bytes, words: "that is there" });
    const check = (limits: MemoryLimits, known: readonly SmallerNetworks[]) => () =>
      assertFitsInMemory(limits, inFp32, of, known);
    expect(check(enoughFor(stored), smaller)).toThrow(/that is there; weightStorage "stored" would fit$/);
    expect(check(enoughFor(int8), smaller)).toThrow(/that is there; dtype "int8" would fit$/);
    expect(check(enoughFor(int8), [])).toThrow(/no smaller clip would fit either/);
  });
});

it("networks that are kept are not counted against the next call", async () => {
  const options = { ...size, numInferenceSteps: 1, seed: 1 };
  let freeBytes = bytes(run(options, { offload: "none" }));
  const own = await createOrtEngine({ threads: 2 });
  const tight = engineWithMemory(own, () => freeBytes);
  await using pipe = new StableVideoDiffusionPipeline(checkpoint, platformOf(tight), { offload: "none" });
  const picture = createImage(4, 4, new Uint8Array(48));
  await pipe.generate(picture, options);
  freeBytes -= allWeightsBytes;
  await pipe.generate(picture, options);
  freeBytes -= 1;
  await expect(pipe.generate(picture, options)).rejects.toMatchObject({ code: "out-of-memory" });
});

describe("memory that a call has been let through with", () => {
  const picture = createImage(4, 4, new Uint8Array(48));
  const options = { ...size, numInferenceSteps: 1, seed: 1 };
  const needed = bytes(run(options));

  it.each([
    ["of the same pipeline", 1],
    ["of another pipeline", 2],
  ])("is not there for a second call %s, which may have it when the first is over", async (_, pipelines) => {
    const engines = await Promise.all(Array.from({ length: pipelines }, () => createOrtEngine({ threads: 2 })));
    const pipes = engines.map((own) => {
      const tight = engineWithMemory(own, () => 1.5 * needed);
      return new StableVideoDiffusionPipeline(checkpoint, platformOf(tight));
    });
    const first = pipes[0]!.generate(picture, options);
    await expect(pipes.at(-1)!.generate(picture, options)).rejects.toMatchObject({
      code: "out-of-memory",
      message: expect.stringMatching(/are free beside the [\d.]+ MB that other runs may still take/),
    });
    expect((await first).frames[0]).toHaveLength(size.numFrames);
    expect((await pipes.at(-1)!.generate(picture, options)).frames[0]).toHaveLength(size.numFrames);
    for (const pipe of pipes) await pipe.dispose();
  });

  it("is given back by a call that fails", async () => {
    const own = await createOrtEngine({ threads: 2 });
    const pipe = new StableVideoDiffusionPipeline(checkpoint, platformOf(engineWithMemory(own, () => 1.5 * needed)));
    const onStep = () => {
      throw new Error("enough");
    };
    await expect(pipe.generate(picture, { ...options, onStep })).rejects.toThrow("enough");
    expect(own.memory.host.promisedBytes()).toBe(0);
    await pipe.dispose();
  });

  it("counts as held where a second call may have so much for the process", async () => {
    const own = await createOrtEngine({ threads: 2 });
    const end = own.memory.host.reserve(64e9);
    const { host } = memoryLimits(
      engineWithMemory(own, () => 128e9),
      createSessions(own, "model"),
      80e9,
    );
    end();
    expect(host.bytes).toBeLessThan(16e9);
    expect(messageText(host.words)).toMatch(
      /^maxMemory 80\.0 GB leaves 1\d\.\d GB beside what the process holds and the 6\d\.\d GB that/,
    );
    await own.dispose();
  });
});

it("an error in the middle of a run keeps the options that it names", () => {
  const cause = new StillmotionError("out-of-memory", message`no space; name another ${option("scratchFolder")}`);
  const limits = onePool({ bytes: 1e12, words: "1 TB is free" });
  const error = whereMemoryRanOut(cause, limits, networks, run({})) as StillmotionError;
  expect(error).toMatchObject({ code: "out-of-memory", option: "scratchFolder", cause });
  expect(error.message).toMatch(/^generate: memory ran out \(no space; name another scratchFolder\); 1 TB is free; /);
});

describe("on a device with memory of its own", () => {
  const of = run({ width: 512, height: 512, numFrames: 8, decodeChunkSize: 8 });
  const { bytes: needed, deviceBytes } = peakMemory(networks, of);
  const withPools = (hostBytes: number, ofDevice: number): Engine => {
    const pool = (availableBytes: number) => ({ ...engine.memory.host, availableBytes: () => availableBytes });
    return { ...engine, memory: { host: pool(hostBytes), device: pool(ofDevice) } };
  };
  const check = (hostBytes: number, ofDevice: number) => () => {
    const own = withPools(hostBytes, ofDevice);
    assertFitsInMemory(memoryLimits(own, createSessions(own, "model"), undefined), networks, of);
  };

  it("each pool is asked for what lies in it", () => {
    expect(deviceBytes).toBeGreaterThan(needed / 2);
    expect(check(needed, deviceBytes)).not.toThrow();
    expect(check(needed, deviceBytes - 1)).toThrow(
      /^generate: the vae decoder needs about .* are free on the device; /,
    );
    expect(check(30e6, 64e9)).toThrow(/^generate: the .* needs about .* are free; /);
    expect(check(30e6, 64e9)).not.toThrow(/on the device/);
  });

  it("a run holds its share of each, and a plan says what it takes of each", async () => {
    const own = await createOrtEngine({ threads: 2 });
    const held: Record<string, number> = { host: 0, device: 0 };
    const pool = (name: string) => ({
      availableBytes: () => 64e9,
      heldBytes: () => 0,
      promisedBytes: () => 0,
      reserve(sizeBytes: number) {
        held[name] = sizeBytes;
        return () => {};
      },
    });
    const memory = { host: pool("host"), device: pool("device") };
    await using pipe = new StableVideoDiffusionPipeline(checkpoint, platformOf({ ...own, memory }));
    const options = { ...size, numInferenceSteps: 1, seed: 1 };
    await pipe.generate(createImage(4, 4, new Uint8Array(48)), options);
    const plan = await pipe.plan(1, options);
    expect(plan.device).toEqual({ peakBytes: held.device, availableBytes: 64e9 });
    expect(plan.peakBytes).toBe(held.host);
    expect(held.host! + held.device!).toBeGreaterThanOrEqual(bytes(run(options)));
  });
});
