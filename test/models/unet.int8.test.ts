/**
 * How far is the UNet in int8 from the reference's, for every test checkpoint and with a LoRA?
 *
 * Golden: python -m reference.golden networks (reference/golden/networks.py), diffusers 0.42.1
 * Golden: python -m reference.golden lora (reference/golden/lora.py), diffusers 0.42.1
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createCpuInt8Lowering } from "../../src/lowering/cpu/int8.ts";
import { disk } from "../../src/node/files/disk.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import { readLoras } from "../../src/options/loras.ts";
import type { FloatTensor, Tensor } from "../../src/tensor.ts";
import { withLoras } from "../../src/weights/lora/place-lora.ts";
import { testEngine } from "../support/evaluate.ts";
import { type Golden, readGolden } from "../support/golden.ts";
import { networksOf } from "../support/platform.ts";
import { clipOf, runUnet, unetCall } from "../support/unet-call.ts";

const engine = testEngine();

/**
 * A value of 8 bits over a range of about 8 standard deviations is off by 1 % of one (8 / 255 / sqrt(12)), in each product.
 * These networks have random weights, which average nothing out: diffusers' own bf16 is off by 1.4 to 2.9 % here, int8 by
 * 2.6 to 7.2 %. That each product is the right one is held to the bit in test/lowering/cpu-int8.test.ts.
 */
const tolerance = 0.1;

function relativeError(actual: Tensor, expected: FloatTensor): number {
  let [difference, magnitude] = [0, 0];
  for (const [index, value] of expected.data.entries()) {
    difference += ((actual.data as Float32Array)[index]! - value) ** 2;
    magnitude += value ** 2;
  }
  return Math.sqrt(difference / magnitude);
}

/** The first item of a golden batch, evaluated in int8. */
async function evaluate(
  name: string,
  loras: readonly { path: string; strength: number }[],
  input: (argument: string) => FloatTensor,
): Promise<Tensor> {
  const options = name.endsWith("fp16") ? { variant: "fp16" } : {};
  const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "checkpoints", name), options);
  const adapted = { ...checkpoint, unet: withLoras(checkpoint.unet, await readLoras(loras, disk)) };
  const call = unetCall(input, 0);
  const { write } = networksOf(adapted, { create: createCpuInt8Lowering });
  expect(write.unet(call.size).graph.prepared.length).toBeGreaterThan(20);
  return runUnet(engine(), write, call);
}

const first = ({ tensor }: Golden, name: string) => clipOf(tensor(name), 0);

describe.each(["two-levels-fp32", "three-levels-fp16", "four-levels-bf16"])("%s", (name) => {
  it("is near the reference's fp32, and is not it", async () => {
    const golden = await readGolden("models", "golden", `${name}.unet.safetensors`);
    for (const variant of Object.keys(golden.details.variants as object)) {
      const sample = await evaluate(name, [], (argument) => golden.tensor(`input.${variant}.${argument}`));
      const error = relativeError(sample, first(golden, `output.${variant}.sample`));
      expect(error, variant).toBeLessThan(tolerance);
      expect(error, variant).toBeGreaterThan(1e-4);
    }
  });
});

it("a LoRA counts as much as in fp32", async () => {
  const golden = await readGolden("weights", "lora", "golden", "two-levels-fp32.diffusers.safetensors");
  const path = join(import.meta.dirname, "..", "weights", "lora", "golden", "diffusers.safetensors");
  const strength = (golden.details.strengths as Record<string, number>).diffusers!;
  const sample = await evaluate("two-levels-fp32", [{ path, strength }], (argument) =>
    golden.tensor(`input.${argument}`),
  );
  const error = relativeError(sample, first(golden, "output.sample"));
  expect(error).toBeLessThan(tolerance);
  expect(relativeError(sample, first(golden, "output.without"))).toBeGreaterThan(3 * error);
});
