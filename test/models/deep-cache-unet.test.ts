/** Do DeepCache's two graphs make up the UNet, with the weights that each says it needs? */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Session } from "../../src/engine/engine.ts";
import { shallowPart } from "../../src/models/deep-cache-unet.ts";
import type { WrittenNetwork } from "../../src/models/network.ts";
import { unetConfig } from "../../src/models/unet.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import { memoryOf } from "../../src/onnx/memory.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { randn } from "../../src/random/randn.ts";
import { floatTensor } from "../../src/tensor.ts";
import { testEngine } from "../support/evaluate.ts";
import { networksOf } from "../support/platform.ts";

const engine = testEngine();
const size = { frames: 3, height: 16, width: 24 };

describe.each(["two-levels-fp32", "three-levels-fp16", "four-levels-bf16"])("%s", async (name) => {
  const options = name.endsWith("fp16") ? { variant: "fp16" } : {};
  const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "checkpoints", name), options);
  const networks = networksOf(checkpoint);
  const generator = createGenerator(1);
  const inputs = {
    latents: randn(generator, [size.frames, 4, size.height, size.width], "float32"),
    image_latents: randn(generator, [1, 4, size.height, size.width], "float32"),
    conditioning: randn(generator, networks.write.conditioning(size).graph.outputs[0]!.shape, "float32"),
    timestep: floatTensor([1, 1], Float32Array.of(0.66)),
    added_time_ids: floatTensor([3, 1], Float32Array.of(6, 127, 0.02)),
  };

  let sessions: Readonly<Record<"unet" | "whole" | "shallow", Session>>;
  beforeAll(async () => {
    const load = ({ model }: WrittenNetwork) => engine().load(model);
    const { unet, unetWithDeepFeature, shallowUnet } = networks.write;
    sessions = {
      unet: await load(unet(size)),
      whole: await load(unetWithDeepFeature(size)),
      shallow: await load(shallowUnet(size)),
    };
  });
  afterAll(async () => {
    for (const session of Object.values(sessions)) await session.release();
  });

  it("gives the UNet's sample, by the whole of it and by the shallow one with its own feature", async () => {
    const expected = (await sessions.unet.run(inputs)).sample!;
    const whole = await sessions.whole.run(inputs);
    expect(whole.sample!.data).toEqual(expected.data);
    const shallow = await sessions.shallow.run({ ...inputs, deep_feature: whole.deep_feature! });
    expect(shallow.sample!.data).toEqual(expected.data);
  });

  it("gives another sample with the feature of other latents, and for another noise level", async () => {
    const { deep_feature, sample } = await sessions.whole.run(inputs);
    const other = await sessions.whole.run({ ...inputs, latents: randn(generator, inputs.latents.shape, "float32") });
    const mixed = await sessions.shallow.run({ ...inputs, deep_feature: other.deep_feature! });
    expect(mixed.sample!.data).not.toEqual(sample!.data);
    expect(mixed.sample!.data).not.toEqual(other.sample!.data);
    const timestep = floatTensor([1, 1], Float32Array.of(-0.4));
    const later = await sessions.shallow.run({ ...inputs, timestep, deep_feature: deep_feature! });
    expect(later.sample!.data).not.toEqual(sample!.data);
  });

  it("reads few of the weights a second time", () => {
    const part = shallowPart(checkpoint.unet, unetConfig(checkpoint.unet.config));
    expect(part.tensors.size).toBeLessThan(checkpoint.unet.tensors.size / 2);
    const weights = (network: WrittenNetwork) => memoryOf(network.graph).weightsBytes;
    expect(weights(networks.write.shallowUnet(size))).toBeLessThan(weights(networks.write.unet(size)));
  });
});
