/**
 * Does each whole network give what the reference gives, for every test checkpoint?
 *
 * Golden: python -m reference.golden networks (reference/golden/networks.py), diffusers 0.42.1
 */
import { join } from "node:path";
import { describe, it } from "vitest";
import type { WrittenNetwork } from "../../src/models/network.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import { type FloatTensor, floatTensor } from "../../src/tensor.ts";
import { testEngine } from "../support/evaluate.ts";
import { expectClose, items, permuted, readGolden } from "../support/golden.ts";
import { networksInBlocks } from "../support/platform.ts";
import { clipOf, runNetwork, runUnet, unetCall } from "../support/unet-call.ts";

const engine = testEngine();
const checkpoints = ["two-levels-fp32", "three-levels-fp16", "four-levels-bf16"];

/** As they are written for every checkpoint, and for one of few weights on this processor. */
const forms = ["any", "small"] as const;
type Form = (typeof forms)[number];

async function networksOf(name: string, form: Form) {
  const options = name.endsWith("fp16") ? { variant: "fp16" } : {};
  const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "checkpoints", name), options);
  return networksInBlocks(checkpoint, form === "small" ? engine().channelBlock : 1).write;
}

const run = (network: WrittenNetwork, inputs: Record<string, FloatTensor>) => runNetwork(engine(), network, inputs);

describe.each(checkpoints.flatMap((name) => forms.map((form) => [name, form] as const)))("%s, %s", (name, form) => {
  const golden = (network: string) => readGolden("models", "golden", `${name}.${network}.safetensors`);

  it("image encoder", async () => {
    const { imageEncoder } = await networksOf(name, form);
    const { tensor, tolerance } = await golden("image-encoder");
    const small = tensor("input.pixel_values_32x32");
    const expected = tensor("output.image_embeds");
    for (let index = 0; index < small.shape[0]!; index++) {
      const outputs = await run(imageEncoder(), { pixel_values: enlarged(items(small, index, index + 1), 7) });
      expectClose(outputs.image_embedding!, items(expected, index, index + 1), tolerance);
    }
  });

  it("VAE encoder", async () => {
    const { vaeEncoder } = await networksOf(name, form);
    const { tensor, tolerance, names } = await golden("vae-encoder");
    for (const input of names("input.")) {
      const images = tensor(input);
      const expected = tensor(input.replace("input.", "output.").replace(".image", ".latents"));
      for (let index = 0; index < images.shape[0]!; index++) {
        const [, , height, width] = images.shape as [number, number, number, number];
        const image = permuted(items(images, index, index + 1), [0, 2, 3, 1]);
        const outputs = await run(vaeEncoder({ height, width }), { image });
        expectClose(outputs.latents!, items(expected, index, index + 1), tolerance, `${input} ${index}`);
      }
    }
  });

  it("VAE temporal decoder", async () => {
    const { vaeDecoder } = await networksOf(name, form);
    const { tensor, tolerance, names } = await golden("vae-temporal-decoder");
    for (const input of names("input.")) {
      const latents = tensor(input);
      const [frames, , height, width] = latents.shape as [number, number, number, number];
      const outputs = await run(vaeDecoder({ frames, height, width }), { latents });
      const expected = tensor(input.replace("input.", "output.").replace(".latents", ".frames"));
      expectClose(outputs.frames!, permuted(expected, [0, 2, 3, 1]), tolerance, input);
    }
  });

  it("UNet, each variant and each item of a guided batch", async () => {
    const write = await networksOf(name, form);
    const { tensor, tolerance, details } = await golden("unet");
    for (const variant of Object.keys(details.variants as object)) {
      const input = (argument: string) => tensor(`input.${variant}.${argument}`);
      for (let index = 0; index < input("sample").shape[0]!; index++) {
        const sample = await runUnet(engine(), write, unetCall(input, index));
        expectClose(sample, clipOf(tensor(`output.${variant}.sample`), index), tolerance, `${variant} ${index}`);
      }
    }
  });
});

/** Each pixel of (1, channels, height, width) `factor` times in both directions. */
function enlarged(tensor: FloatTensor, factor: number): FloatTensor {
  const [, channels, height, width] = tensor.shape as [number, number, number, number];
  const result = floatTensor([1, channels, height * factor, width * factor]);
  for (let index = 0; index < result.data.length; index++) {
    const x = Math.floor((index % (width * factor)) / factor);
    const y = Math.floor((Math.floor(index / (width * factor)) % (height * factor)) / factor);
    const channel = Math.floor(index / (width * factor * height * factor));
    result.data[index] = tensor.data[(channel * height + y) * width + x]!;
  }
  return result;
}
