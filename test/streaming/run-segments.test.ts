/** Does a decoder that runs a few frames at a time give what the reference gives for all frames at once? */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Engine, Scratch } from "../../src/engine/engine.ts";
import { createCpuFp32Lowering } from "../../src/lowering/cpu/fp32.ts";
import { type WrittenSegment, writeSegments } from "../../src/models/network.ts";
import { vaeConfig, vaeDecoder, vaeHalf } from "../../src/models/vae.ts";
import { readNetworks } from "../../src/pipeline/networks.ts";
import { createSessions } from "../../src/pipeline/sessions.ts";
import { withWorkspace } from "../../src/pipeline/shared-workspace.ts";
import { scratchBytes } from "../../src/streaming/clip-maps.ts";
import { movedMapBytes, runSegments } from "../../src/streaming/run-segments.ts";
import { workspaceSize } from "../../src/streaming/segment-workspace.ts";
import { floatTensor } from "../../src/tensor.ts";
import { openCheckpoint } from "../../src/weights/checkpoint/checkpoint.ts";
import { testEngine } from "../support/evaluate.ts";
import { expectClose, permuted, readGolden } from "../support/golden.ts";

const engine = testEngine();

function runAll(
  engine: Engine,
  segments: readonly WrittenSegment[],
  given: Float32Array,
  frames: number,
  onWork: (share: number) => void = () => {},
): Promise<Float32Array> {
  const context = { engine, sessions: createSessions(engine, "model"), onProgress: () => {}, signal: undefined };
  return withWorkspace(context, workspaceSize(segments), 0, (inWorkspace) =>
    runSegments(inWorkspace, segments, given, frames, "clip 1", onWork),
  );
}

function open(name: string) {
  const options = name.endsWith("fp16") ? { variant: "fp16" } : {};
  return openCheckpoint(join(import.meta.dirname, "../checkpoints", name), options);
}

describe.each(["two-levels-fp32", "three-levels-fp16", "four-levels-bf16"])("the decoder of %s", (name) => {
  it.each([1, 2, 3])("in windows of %d", async (window) => {
    const { write } = readNetworks(await open(name), createCpuFp32Lowering);
    const golden = await readGolden("models", "golden", `${name}.vae-temporal-decoder.safetensors`);
    for (const variant of ["frames1", "frames2", "frames5"]) {
      const latents = golden.tensor(`input.${variant}.latents`);
      const [frames, , height, width] = latents.shape as [number, number, number, number];
      if (window > frames) continue;
      const segments = write.vaeDecoderSegments({ frames, window, height, width });
      const shares: number[] = [];
      const decoded = await runAll(engine(), segments, latents.data, frames, (share) => void shares.push(share));
      const expected = permuted(golden.tensor(`output.${variant}.frames`), [0, 2, 3, 1]);
      expectClose(floatTensor(expected.shape, decoded), expected, golden.tolerance, variant);
      expect(shares).toEqual(shares.toSorted((a, b) => a - b));
      expect(shares.at(-1)).toBeCloseTo(1, 10);
    }
  });

  // Small networks fit more frames than the window; here every segment takes just the window.
  it.each([1, 2])("with %d frames in every segment", async (window) => {
    const { vae } = await open(name);
    const config = vaeConfig(vae.config);
    const golden = await readGolden("models", "golden", `${name}.vae-temporal-decoder.safetensors`);
    const latents = golden.tensor("input.frames5.latents");
    const [frames, , height, width] = latents.shape as [number, number, number, number];
    const network = vaeDecoder(config, { frames: window, height, width });
    const segments = writeSegments("vae decoder", vaeHalf(vae, "decoder"), createCpuFp32Lowering, network);
    const decoded = await runAll(engine(), segments, latents.data, frames);
    const expected = permuted(golden.tensor("output.frames5.frames"), [0, 2, 3, 1]);
    expectClose(floatTensor(expected.shape, decoded), expected, golden.tolerance);
  });
});

it("sets aside and moves as much as was said before, and gives all of it back", async () => {
  const { write } = readNetworks(await open("two-levels-fp32"), createCpuFp32Lowering);
  let [heldBytes, mostBytes, movedBytes, made] = [0, 0, 0, 0];
  const counting: Engine = {
    ...engine(),
    async createScratch(length): Promise<Scratch> {
      const scratch = await engine().createScratch(length);
      made++;
      heldBytes += 4 * length;
      mostBytes = Math.max(mostBytes, heldBytes);
      const release = () => {
        heldBytes -= 4 * length;
        return scratch.release();
      };
      const counted = (move: Scratch["read"]) => (first: number, values: Float32Array) => {
        movedBytes += values.byteLength;
        return move(first, values);
      };
      return { read: counted(scratch.read), write: counted(scratch.write), release };
    },
  };
  const segments = write.vaeDecoderSegments({ frames: 5, window: 2, height: 4, width: 4 });
  await runAll(counting, segments, new Float32Array(5 * 4 * 16), 5);
  expect(mostBytes).toBe(scratchBytes(segments, 5));
  expect(movedBytes).toBe(movedMapBytes(segments, 5));
  expect(heldBytes).toBe(0);
  // Of each size, one for what a block reads and writes and one for what lies between its two halves.
  const sizes = new Set(
    segments.flatMap(({ reads, writes }) => [reads[0]!.map, ...writes].map((map) => map.frameSize)),
  );
  expect(made).toBeLessThanOrEqual(2 * sizes.size);
});

it("gives everything back when it fails in the middle", async () => {
  const { write } = readNetworks(await open("two-levels-fp32"), createCpuFp32Lowering);
  const held = new Set<object>();
  let runs = 0;
  const failing: Engine = {
    ...engine(),
    async createScratch(length): Promise<Scratch> {
      const scratch = await engine().createScratch(length);
      held.add(scratch);
      return { ...scratch, release: async () => void held.delete(scratch) };
    },
    async openWorkspace(...of) {
      const workspace = await engine().openWorkspace(...of);
      held.add(workspace);
      const release = () => {
        held.delete(workspace);
        return workspace.release();
      };
      return { ...workspace, release };
    },
    async load(model, options) {
      if (++runs === 5) throw new Error("enough");
      return engine().load(model, options);
    },
  };
  const segments = write.vaeDecoderSegments({ frames: 4, window: 1, height: 4, width: 4 });
  await expect(runAll(failing, segments, new Float32Array(256), 4)).rejects.toThrow("enough");
  expect(held.size).toBe(0);
});
