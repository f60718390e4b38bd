/**
 * Does the UNet with LoRAs give what the reference gives, for each form of file?
 *
 * Golden: python -m reference.golden lora (reference/golden/lora.py), diffusers 0.42.1
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { disk } from "../../../src/node/files/disk.ts";
import { openCheckpoint } from "../../../src/node/weights.ts";
import { readLoras } from "../../../src/options/loras.ts";
import type { Tensor } from "../../../src/tensor.ts";
import { withLoras } from "../../../src/weights/lora/place-lora.ts";
import { testEngine } from "../../support/evaluate.ts";
import { expectClose, type Golden, readGolden } from "../../support/golden.ts";
import { networksOf } from "../../support/platform.ts";
import { clipOf, runUnet, unetCall } from "../../support/unet-call.ts";

const engine = testEngine();
const folder = join(import.meta.dirname, "golden");
const answers = [
  "two-levels-fp32.diffusers",
  "two-levels-fp32.kohya",
  "two-levels-fp32.diffusers+kohya",
  "two-levels-fp32.peft",
  "three-levels-fp16.attention-processors",
];

/** One evaluation with the LoRAs and strengths given by the names of their files. */
async function evaluate(golden: Golden, strengths: Readonly<Record<string, number>>): Promise<Tensor> {
  const name = golden.config.checkpoint as string;
  const options = name.endsWith("fp16") ? { variant: "fp16" } : {};
  const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "..", "checkpoints", name), options);
  const loras = Object.entries(strengths).map(([form, strength]) => {
    return { path: join(folder, form === "peft" ? form : `${form}.safetensors`), strength };
  });
  const changed = { ...checkpoint, unet: withLoras(checkpoint.unet, await readLoras(loras, disk)) };

  const call = unetCall((argument) => golden.tensor(`input.${argument}`), 0);
  return runUnet(engine(), networksOf(changed).write, call);
}

describe.each(answers)("%s", (name) => {
  it("gives the reference's answer", async () => {
    const golden = await readGolden("weights", "lora", "golden", `${name}.safetensors`);
    const strengths = golden.details.strengths as Record<string, number>;
    const expected = golden.tensor("output.sample");
    const actual = await evaluate(golden, strengths);
    expectClose(actual, clipOf(expected, 0), golden.tolerance);
  });
});

it("strength 0 adds nothing", async () => {
  const golden = await readGolden("weights", "lora", "golden", "two-levels-fp32.kohya.safetensors");
  const expected = golden.tensor("output.without");
  const without = clipOf(expected, 0);
  const off = await evaluate(golden, { diffusers: 0, kohya: 0 });
  expectClose(off, without, golden.tolerance, "strength 0");
  expect(off).toEqual(await evaluate(golden, {}));
});
