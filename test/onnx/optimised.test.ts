/** Which graphs may a session change to what is faster on its processor, and are their results the same? */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createCpuFp32Lowering } from "../../src/lowering/cpu/fp32.ts";
import { createCpuInt8Lowering } from "../../src/lowering/cpu/int8.ts";
import type { CreateLowering } from "../../src/lowering/lowering.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import { elementCount, floatTensor } from "../../src/tensor.ts";
import { testEngine } from "../support/evaluate.ts";
import { networksInBlocks, networksOf } from "../support/platform.ts";
import { published } from "../support/published.ts";
import { runNetwork } from "../support/unet-call.ts";

const tiny = await openCheckpoint(join(import.meta.dirname, "..", "..", "models", "tiny"));
const usual = { frames: 8, height: 32, width: 48 };
const inFp32 = networksOf(tiny).write;

const unetOf = (createUnetLowering: CreateLowering) =>
  networksOf(tiny, { create: createUnetLowering }).write.unet(usual);

describe("a session may change", () => {
  it("the UNet of the built-in checkpoint, and with DeepCache both of it", () => {
    for (const write of [inFp32.unet, inFp32.unetWithDeepFeature, inFp32.shallowUnet]) {
      expect(write(usual).model.isOptimised).toBe(true);
    }
  });

  it("larger ones whose maps are in blocks already", () => {
    const { write } = networksInBlocks(tiny, 16);
    expect(write.unet({ frames: 14, height: 64, width: 96 }).model.isOptimised).toBe(true);
  });

  it.each([
    ["maps that are larger", inFp32.unet({ frames: 14, height: 64, width: 96 })],
    ["many weights", networksOf(published()).write.unet({ frames: 1, height: 8, width: 8 })],
    ["weights that are prepared", unetOf((graph) => createCpuFp32Lowering(graph, "fp32"))],
    ["int8 matrices", unetOf(createCpuInt8Lowering)],
    ["the decoder, which runs once", inFp32.vaeDecoder(usual)],
  ])("nothing of %s", (_, { model }) => {
    expect(model.isOptimised).toBe(false);
  });
});

describe("what was changed", () => {
  const engine = testEngine();

  it("gives the same results, to the rounding of another order of sums", async () => {
    const { model, graph } = inFp32.unet(usual);
    const wave = (length: number) => Float32Array.from({ length }, (_, index) => Math.sin(index * 0.37));
    const inputs = Object.fromEntries(
      graph.inputs.map(({ name, shape }) => [name, floatTensor(shape, wave(elementCount(shape)))]),
    );
    const asWritten = { graph, model: { ...model, isOptimised: false } };
    const [changed, plain] = [
      (await runNetwork(engine(), { model, graph }, inputs)).sample!.data as Float32Array,
      (await runNetwork(engine(), asWritten, inputs)).sample!.data as Float32Array,
    ];
    const largest = Math.max(...plain.map(Math.abs));
    const difference = Math.max(...plain.map((value, index) => Math.abs(value - changed[index]!)));
    expect(largest).toBeGreaterThan(0.1);
    expect(difference / largest).toBeLessThan(1e-5);
  });
});
