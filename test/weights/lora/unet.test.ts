/** Does the UNet with LoRAs give what the reference gives, for each form of file? */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createCpuFp32Lowering } from "../../../src/lowering/cpu-fp32.ts";
import { readLoras } from "../../../src/pipeline/loras.ts";
import { readNetworks } from "../../../src/pipeline/networks.ts";
import type { FloatTensor, Tensor } from "../../../src/tensor.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { withLoras } from "../../../src/weights/lora/place-lora.ts";
import { testEngine } from "../../support/evaluate.ts";
import { expectClose, type Golden, items, permuted, readGolden, reshapedTo } from "../../support/golden.ts";

const engine = testEngine();
const folder = join(import.meta.dirname, "golden");
const answers = [
  "two-levels-fp32.diffusers",
  "two-levels-fp32.kohya",
  "two-levels-fp32.diffusers+kohya",
  "three-levels-fp16.attention-processors",
];

/** One evaluation with the LoRAs and strengths given by the names of their files. */
async function evaluate(golden: Golden, strengths: Readonly<Record<string, number>>): Promise<Tensor> {
  const name = golden.config.checkpoint as string;
  const options = name.endsWith("fp16") ? { variant: "fp16" } : {};
  const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "..", "checkpoints", name), options);
  const loras = Object.entries(strengths).map(([form, strength]) => {
    return { path: join(folder, `${form}.safetensors`), strength };
  });
  const changed = { ...checkpoint, unet: withLoras(checkpoint.unet, await readLoras(loras)) };

  const input = (argument: string) => golden.tensor(`input.${argument}`);
  const item = (value: FloatTensor) => reshapedTo(value, value.shape.slice(1));
  const [, frames, , height, width] = input("sample").shape as [number, number, number, number, number];
  const channels = permuted(item(input("sample")), [1, 0, 2, 3]); // (8, frames, height, width)
  const { model } = readNetworks(changed, createCpuFp32Lowering).write.unet({ frames, height, width });
  const session = await engine().load(model);
  try {
    const outputs = await session.run({
      latents: permuted(items(channels, 0, 4), [1, 0, 2, 3]),
      image_latents: items(permuted(items(channels, 4, 8), [1, 0, 2, 3]), 0, 1),
      timestep: reshapedTo(input("timestep"), [1, 1]),
      added_time_ids: reshapedTo(item(input("added_time_ids")), [3, 1]),
      image_embedding: item(input("encoder_hidden_states")),
    });
    return outputs.sample!;
  } finally {
    await session.release();
  }
}

describe.each(answers)("%s", (name) => {
  it("gives the reference's answer", async () => {
    const golden = await readGolden("weights", "lora", "golden", `${name}.safetensors`);
    const strengths = golden.details.strengths as Record<string, number>;
    const expected = golden.tensor("output.sample");
    const actual = await evaluate(golden, strengths);
    expectClose(actual, reshapedTo(expected, expected.shape.slice(1)), golden.tolerance);
  });
});

it("strength 0 adds nothing", async () => {
  const golden = await readGolden("weights", "lora", "golden", "two-levels-fp32.kohya.safetensors");
  const expected = golden.tensor("output.without");
  const without = reshapedTo(expected, expected.shape.slice(1));
  const off = await evaluate(golden, { diffusers: 0, kohya: 0 });
  expectClose(off, without, golden.tolerance, "strength 0");
  expect(off).toEqual(await evaluate(golden, {}));
});
