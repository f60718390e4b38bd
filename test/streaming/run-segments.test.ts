/**
 * Does a decoder that runs a few frames at a time give what the reference gives for all frames at once?
 *
 * Golden: python -m reference.golden networks (reference/golden/networks.py), diffusers 0.42.1
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { createCpuFp32Lowering } from "../../src/lowering/cpu/fp32.ts";
import { type WrittenSegment, writeSegments } from "../../src/models/network.ts";
import { vaeConfig, vaeDecoder, vaeHalf } from "../../src/models/vae.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import { loadedInTurn, memoryOf } from "../../src/onnx/memory.ts";
import { withWorkspace } from "../../src/pipeline/run-stage.ts";
import { scratchBytes } from "../../src/streaming/clip-maps.ts";
import { runSegments } from "../../src/streaming/run-segments.ts";
import type { Scratch, ScratchSpace } from "../../src/streaming/scratch.ts";
import { movedMapBytes } from "../../src/streaming/segment-windows.ts";
import { workspaceSize } from "../../src/streaming/segment-workspace.ts";
import { floatTensor } from "../../src/tensor.ts";
import { testEngine } from "../support/evaluate.ts";
import { expectClose, permuted, readGolden } from "../support/golden.ts";
import { contextOf, networksOf } from "../support/platform.ts";

const engine = testEngine();

function runAll(
  engine: Engine,
  segments: readonly WrittenSegment[],
  given: Float32Array,
  frames: number,
  onWork: (share: number) => void = () => {},
  context = contextOf(engine),
): Promise<Float32Array> {
  const memory = loadedInTurn(segments.map(({ graph }) => memoryOf(graph)));
  return withWorkspace(context, { memory, workspace: workspaceSize(segments) }, (inWorkspace) =>
    runSegments(inWorkspace, segments, given, frames, "clip 1", onWork),
  );
}

function open(name: string) {
  const options = name.endsWith("fp16") ? { variant: "fp16" } : {};
  return openCheckpoint(join(import.meta.dirname, "../checkpoints", name), options);
}

describe.each(["two-levels-fp32", "three-levels-fp16", "four-levels-bf16"])("the decoder of %s", (name) => {
  it.each([1, 2, 3])("in windows of %d", async (window) => {
    const { write } = networksOf(await open(name));
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
  const { write } = networksOf(await open("two-levels-fp32"));
  let [heldBytes, mostBytes, movedBytes, made] = [0, 0, 0, 0];
  const context = contextOf(engine());
  const counting: ScratchSpace = {
    ...context.scratch,
    async create(length): Promise<Scratch> {
      const scratch = await context.scratch.create(length);
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
  await runAll(engine(), segments, new Float32Array(5 * 4 * 16), 5, () => {}, { ...context, scratch: counting });
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
  const { write } = networksOf(await open("two-levels-fp32"));
  const held = new Set<object>();
  let runs = 0;
  const { scratch: space } = contextOf(engine());
  const holding: ScratchSpace = {
    ...space,
    async create(length): Promise<Scratch> {
      const scratch = await space.create(length);
      held.add(scratch);
      return { ...scratch, release: async () => void held.delete(scratch) };
    },
  };
  const failing: Engine = {
    ...engine(),
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
  const context = contextOf(failing, { scratch: holding });
  const run = runAll(failing, segments, new Float32Array(256), 4, () => {}, context);
  await expect(run).rejects.toThrow("enough");
  expect(held.size).toBe(0);
});
