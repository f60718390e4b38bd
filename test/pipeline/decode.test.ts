/** Are frames decoded as they should be, however many at a time? */
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createOrtEngine } from "../../src/engine/ort/ort-engine.ts";
import { openScratchSpace } from "../../src/node/scratch.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import type { Settings } from "../../src/options/resolve-settings.ts";
import { decodeLatents, toImages } from "../../src/pipeline/decode.ts";
import type { ProgressEvent } from "../../src/pipeline/progress.ts";
import { describeDecoder } from "../../src/pipeline/stages.ts";
import { type FloatTensor, floatTensor } from "../../src/tensor.ts";
import { testEngine } from "../support/evaluate.ts";
import { contextOf, networksOf } from "../support/platform.ts";
import { readImageDecoder, writeTensors } from "../weights/single-file/layouts.ts";

const root = join(import.meta.dirname, "..", "..");
const twoLevels = join(root, "test", "checkpoints", "two-levels-fp32");
const engine = testEngine();
let temporary: string;
beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), "stillmotion-decode-"));
});
afterAll(() => rm(temporary, { recursive: true }));

function someLatents(...shape: [number, number, number, number, number]): FloatTensor {
  const latents = floatTensor(shape);
  return floatTensor(
    shape,
    latents.data.map((_, index) => Math.sin(index * index * 0.37)),
  );
}

type DecodeSettings = Pick<Settings, "decodeChunkSize" | "decodeMode">;

async function decode(
  checkpoint: string,
  latents: FloatTensor,
  settings: DecodeSettings,
  context = contextOf(engine()),
): Promise<FloatTensor[]> {
  const networks = networksOf(await openCheckpoint(checkpoint));
  const [clips, numFrames, , height, width] = latents.shape as [number, number, number, number, number];
  const size = { numFrames, height: height * networks.vae.scale, width: width * networks.vae.scale };
  const stage = describeDecoder(networks, { ...size, ...settings }, { clips, offload: "model" });
  return decodeLatents(context, stage, networks, latents);
}

function largestDifference(a: readonly FloatTensor[], b: readonly FloatTensor[]): number {
  expect(a.map(({ shape }) => shape)).toEqual(b.map(({ shape }) => shape));
  let largest = 0;
  for (const [clip, { data }] of a.entries()) {
    for (const [index, value] of data.entries()) {
      largest = Math.max(largest, Math.abs(value - b[clip]!.data[index]!));
    }
  }
  return largest;
}

const exact = (decodeChunkSize: number): DecodeSettings => ({ decodeChunkSize, decodeMode: "exact" });
const reference = (decodeChunkSize: number): DecodeSettings => ({ decodeChunkSize, decodeMode: "reference" });

describe("exact decoding", () => {
  it.each([
    ["the built-in checkpoint", join(root, "models", "tiny"), [1, 2, 3]],
    ["a test checkpoint", twoLevels, [1, 2, 3, 4]],
  ] as const)("gives the frames of decoding at once for every window, with %s", async (_, checkpoint, windows) => {
    const latents = someLatents(1, 5, 4, 4, 6);
    const atOnce = await decode(checkpoint, latents, exact(5));
    for (const window of windows) {
      expect(largestDifference(await decode(checkpoint, latents, exact(window)), atOnce)).toBeLessThan(1e-5);
    }
  });

  it("is what the reference's chunks are far from", async () => {
    const latents = someLatents(1, 5, 4, 4, 6);
    const atOnce = await decode(twoLevels, latents, exact(5));
    expect(largestDifference(await decode(twoLevels, latents, reference(2)), atOnce)).toBeGreaterThan(0.1);
    expect(largestDifference(await decode(twoLevels, latents, reference(5)), atOnce)).toBe(0);
  });

  it("keeps clips apart", async () => {
    const both = someLatents(2, 3, 4, 4, 4);
    const half = both.data.length / 2;
    const alone = [both.data.subarray(0, half), both.data.subarray(half)].map((data) =>
      floatTensor([1, 3, 4, 4, 4], data),
    );
    const decoded = await decode(twoLevels, both, exact(2));
    for (const [index, latents] of alone.entries()) {
      expect(largestDifference([decoded[index]!], await decode(twoLevels, latents, exact(2)))).toBe(0);
    }
  });

  it("takes a single frame, and windows longer than the clip", async () => {
    for (const frames of [1, 2]) {
      const latents = someLatents(1, frames, 4, 4, 4);
      const decoded = await decode(twoLevels, latents, exact(8));
      expect(decoded[0]!.shape).toEqual([frames, 16, 16, 3]);
      expect(largestDifference(decoded, await decode(twoLevels, latents, exact(frames)))).toBe(0);
    }
  });

  it("takes a decoder of pictures, whose frames never meet", async () => {
    const checkpoint = await writeTensors(join(temporary, "svd_image_decoder.safetensors"), await readImageDecoder());
    const latents = someLatents(1, 3, 4, 4, 4);
    const decoded = await decode(checkpoint, latents, exact(2));
    for (const frame of [0, 1, 2]) {
      const single = floatTensor([1, 1, 4, 4, 4], latents.data.subarray(frame * 64, (frame + 1) * 64));
      const [alone] = await decode(checkpoint, single, exact(1));
      const size = alone!.data.length;
      const got = floatTensor(alone!.shape, decoded[0]!.data.subarray(frame * size, (frame + 1) * size));
      expect(largestDifference([got], [alone!])).toBeLessThan(1e-5);
    }
  });

  it("tells how far it is", async () => {
    const events: ProgressEvent[] = [];
    const context = contextOf(engine(), { onProgress: (event) => events.push(event) });
    await decode(twoLevels, someLatents(2, 3, 4, 4, 4), exact(1), context);
    expect(events.map(({ state }) => state).filter((state) => state !== "running")).toEqual(["loading", "released"]);
    expect(new Set(events.map(({ stage }) => stage))).toEqual(new Set(["vae decoder"]));
    const done = events.flatMap((event) => event.done ?? []);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(new Set(done)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
    expect(events.every(({ state, total }) => state !== "running" || total === 6)).toBe(true);
  });

  it.runIf(existsSync("/proc/self/fd"))("leaves nothing behind when it is aborted", async () => {
    const scratchFolder = await mkdtemp(join(temporary, "scratch-"));
    await using stack = new AsyncDisposableStack();
    const owned = await createOrtEngine({ threads: 1 });
    stack.defer(() => owned.dispose());
    const openScratches = () =>
      readdirSync("/proc/self/fd").filter((descriptor) => linkOf(descriptor).startsWith(scratchFolder));
    const controller = new AbortController();
    const { signal } = controller;
    const context = contextOf(owned, { signal, scratch: openScratchSpace(scratchFolder) });
    // 16 frames of 192x192 with 32 channels are 75 MB: too much to be held in memory.
    const run = decode(twoLevels, someLatents(1, 16, 4, 192, 192), exact(1), context);
    const outcome = run.catch((error: unknown) => error);
    while (openScratches().length === 0) await sleep(5);
    await vi.waitFor(async () => expect(await readdir(scratchFolder)).toEqual([])); // open, and already without a name
    controller.abort();
    expect(await outcome).toMatchObject({ code: "aborted" });
    expect(openScratches()).toEqual([]);
  });
});

function linkOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return ""; // closed in the meantime
  }
}

it("rounds to 8 bits as NumPy does, half to even", () => {
  const values = [0, 1, 0.5, 2.5 / 255, 3.5 / 255, 0.001];
  const [image] = toImages(floatTensor([1, 1, 2, 3], Float32Array.from(values)));
  expect(image).toMatchObject({ width: 2, height: 1 });
  expect([...image!.data]).toEqual([0, 255, 128, 2, 4, 0]);
});

it("gives one picture a frame", () => {
  const images = toImages(floatTensor([3, 1, 1, 3], Float32Array.of(0, 0, 0, 0.2, 0.2, 0.2, 1, 1, 1)));
  expect(images.map(({ data }) => data[0])).toEqual([0, 51, 255]);
});
