/**
 * Is a run ended where its numbers are no longer finite, in each network, within the step, and with what may be the cause?
 *
 * Golden: python -m reference.golden lora (reference/golden/lora.py), diffusers 0.42.1
 */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { createOrtEngine } from "../../src/engine/ort/ort-engine.ts";
import { floatsOf } from "../../src/floats.ts";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import { openCheckpoint, readSafetensors } from "../../src/node/weights.ts";
import type { GenerateOptions } from "../../src/options/generate-call.ts";
import type { FromPretrainedOptions } from "../../src/options/load-options.ts";
import { floatTensor, type Tensor } from "../../src/tensor.ts";
import { scratchFolder } from "../cli/command.ts";
import { picture } from "../support/picture.ts";
import { platformOf } from "../support/platform.ts";
import { mapped, writeTensors } from "../weights/single-file/layouts.ts";

const root = join(import.meta.dirname, "..", "..");
const twoLevels = join(root, "test", "checkpoints", "two-levels-fp32");

let engine: Engine;
beforeAll(async () => {
  engine = await createOrtEngine({ threads: 2 });
});
afterAll(() => engine.dispose());

const files = {
  image_encoder: "image_encoder/model.safetensors",
  unet: "unet/diffusion_pytorch_model.safetensors",
  vae: "vae/diffusion_pytorch_model.safetensors",
} as const;

type Change = "NaN" | "infinite" | "far too large" | "1e36 times as large";

function changed({ shape, data }: Tensor, change: Change): Tensor {
  const values = Float32Array.from(data as Float32Array);
  if (change === "far too large") {
    // All finite, and their products are not.
    for (const index of values.keys()) values[index] = Math.fround(values[index]! < 0 ? -3e38 : 3e38);
  } else if (change === "1e36 times as large") {
    for (const index of values.keys()) values[index]! *= 1e36;
  } else values[Math.floor(values.length / 2)] = change === "NaN" ? Number.NaN : Number.POSITIVE_INFINITY;
  return { dtype: "float32", shape, data: values };
}

/** A copy in fp32 of a checkpoint, with one tensor changed. */
async function damaged(
  component: keyof typeof files,
  name: string,
  change: Change,
  source = twoLevels,
): Promise<string> {
  const folder = join(await scratchFolder(), "model");
  await cp(source, folder, { recursive: true });
  const { tensors } = await readSafetensors(join(folder, files[component]));
  const inFp32 = mapped(tensors, (tensor) =>
    tensor.dtype.includes("int") ? tensor : { dtype: "float32", shape: tensor.shape, data: floatsOf(tensor) },
  );
  expect(Object.keys(inFp32)).toContain(name);
  await writeTensors(join(folder, files[component]), { ...inFp32, [name]: changed(inFp32[name]!, change) });
  return folder;
}

type Options = Partial<GenerateOptions<"floats">>;

async function run(model: string, options: Options = {}, load: Pick<FromPretrainedOptions, "dtype"> = {}) {
  const checkpoint = await openCheckpoint(model);
  const pipe = new StableVideoDiffusionPipeline(checkpoint, platformOf(engine), load);
  const size = { width: 48, height: 32, numFrames: 3, numInferenceSteps: 3, maxGuidanceScale: 1, seed: 4 };
  return pipe.generate(picture, { ...size, outputType: "floats", ...options });
}

describe.each<Change>(["NaN", "infinite", "far too large"])("a weight that is %s is found", (change) => {
  it.each<[string, keyof typeof files, string, Options]>([
    [
      "image encoder, picture 1 of 1: image_embedding holds",
      "image_encoder",
      "vision_model.encoder.layers.0.mlp.fc1.weight",
      {},
    ],
    ["vae encoder, picture 1 of 1: latents holds", "vae", "encoder.conv_in.weight", {}],
    [
      "conditioning, picture 1 of 1: conditioning holds",
      "unet",
      "mid_block.attentions.0.transformer_blocks.0.attn2.to_v.weight",
      {},
    ],
    ["unet, step 1 of 3: sample holds", "unet", "conv_out.weight", {}],
    ["unet, step 1 of 3: ", "unet", "mid_block.attentions.0.transformer_blocks.0.attn1.to_v.weight", {}],
    [
      "unet, step 1 of 3: sample holds", // DeepCache's feature stays on the device, and the sample is made of it
      "unet",
      "mid_block.attentions.0.transformer_blocks.0.attn1.to_v.weight",
      { cacheInterval: 2 },
    ],
    ["vae decoder, clip 1, frames 1 to 3: frames holds", "vae", "decoder.conv_in.weight", {}],
    [
      "vae decoder, clip 1, frames 1 to 2: frames holds",
      "vae",
      "decoder.conv_in.weight",
      { decodeChunkSize: 2, decodeMode: "reference" },
    ],
    [
      "vae decoder, clip 1, frames 1 to \\d: map\\d mean holds",
      "vae",
      "decoder.conv_in.weight",
      { decodeChunkSize: 1 },
    ],
    [
      "vae decoder, clip 1, frames 1 to \\d: frames holds",
      "vae",
      "decoder.time_conv_out.weight",
      { decodeChunkSize: 1 },
    ],
  ])("in %s", async (where, component, name, options) => {
    const model = await damaged(component, name, change);
    await expect(run(model, options)).rejects.toMatchObject({
      code: "not-finite",
      message: expect.stringMatching(
        new RegExp(`^generate: ${where}.*; the cause is probably .*\`stillmotion inspect ${model} --weights\``),
      ),
    });
  });
});

describe("a run in int8, whose bytes hide what is not finite,", () => {
  const tiny = join(root, "models", "tiny");
  // What is multiplied as bytes, what is not, what both are given, and what is looked at where the graph reads it from its file.
  it.each([
    "mid_block.resnets.0.spatial_res_block.conv1.weight",
    "mid_block.resnets.0.spatial_res_block.conv1.bias",
    "mid_block.resnets.0.spatial_res_block.norm1.weight",
    "mid_block.resnets.0.spatial_res_block.time_emb_proj.weight",
    "up_blocks.0.resnets.0.spatial_res_block.conv_shortcut.weight",
    "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj.bias",
    "up_blocks.0.upsamplers.0.conv.weight",
    "time_embedding.linear_1.bias",
  ])("names the weight that is NaN: %s", async (name) => {
    const model = await damaged("unet", name, "NaN", tiny);
    await expect(run(model, {}, { dtype: "int8" })).rejects.toMatchObject({
      code: "not-finite",
      message: expect.stringContaining(`unet: the weight ${name}`),
    });
  });

  it.each<[string, Change]>([
    ["mid_block.resnets.0.spatial_res_block.conv1.weight", "far too large"],
    ["mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight", "far too large"],
    ["mid_block.attentions.0.transformer_blocks.0.ff.net.2.weight", "far too large"],
    // The sample itself is finite.
    ["up_blocks.1.upsamplers.0.conv.weight", "1e36 times as large"],
  ])("finds the step in which it overflows, where all weights are finite: %s %s", async (name, change) => {
    const model = await damaged("unet", name, change, tiny);
    // With DeepCache the feature, which is not finite, stays on the device.
    for (const cacheInterval of [1, 2]) {
      await expect(run(model, { cacheInterval }, { dtype: "int8" })).rejects.toMatchObject({
        code: "not-finite",
        message: expect.stringContaining("generate: unet, step 1 of 3: "),
      });
    }
  });
});

it("a weight whose taps are summed for int8 is named where the sum is infinite", async () => {
  const name = "up_blocks.0.upsamplers.0.conv.weight";
  const model = await damaged("unet", name, "far too large", join(root, "models", "tiny"));
  const message = `unet: the weight ${name} is so large that it is infinite in int8; the cause is probably`;
  await expect(run(model, {}, { dtype: "int8" })).rejects.toThrow(message);
});

describe("what a caller's latents lead to", () => {
  /** Finite, and what the network makes of them is not. */
  const tooLarge = (latents: Tensor) => floatTensor(latents.shape, new Float32Array(latents.data.length).fill(3e38));

  it.each([
    [{}, "generate: unet, step 2 of 3: sample holds"],
    [{ cacheInterval: 3 }, "generate: unet, step 2 of 3: sample holds"], // by the shallow one, which has a feature of step 1
  ])("is found in the step that takes them, with %o", async (options, message) => {
    const steps: number[] = [];
    const onStep: Options["onStep"] = ({ step, latents }) => {
      steps.push(step);
      return tooLarge(latents);
    };
    const running = run(twoLevels, { ...options, onStep });
    await expect(running).rejects.toMatchObject({ code: "not-finite", message: expect.stringContaining(message) });
    await expect(running).rejects.toThrow("the latents that were given, if their numbers are very large");
    expect(steps).toEqual([1]);
  });

  it("is not said of a caller who only looks at them", async () => {
    const model = await damaged("unet", "conv_in.weight", "NaN");
    const error = await run(model, { onStep: () => undefined }).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "not-finite" });
    expect(error.message).not.toContain("that were given");
  });

  it("is refused where they are not finite, before the run and at their step", async () => {
    const latents = floatTensor([1, 3, 4, 8, 12]);
    latents.data[400] = Number.NaN;
    await expect(run(twoLevels, { latents })).rejects.toMatchObject({
      code: "invalid-option",
      option: "latents",
      message:
        "generate: latents is a tensor with 1 NaN among 1152 numbers, first NaN at [0, 1, 0, 1, 4], expected finite ones",
    });
    const onStep: Options["onStep"] = ({ step, latents }) =>
      step === 2
        ? floatTensor(latents.shape, new Float32Array(latents.data.length).fill(Number.NEGATIVE_INFINITY))
        : undefined;
    await expect(run(twoLevels, { onStep })).rejects.toMatchObject({
      code: "invalid-option",
      option: "onStep",
      message: expect.stringContaining(
        "onStep returned latents after step 2 of 3 with 1152 infinite among 1152 numbers",
      ),
    });
  });
});

it("a LoRA that overflows is named with its strength", async () => {
  const { tensors } = await readSafetensors(join(root, "test", "weights", "lora", "golden", "kohya.safetensors"));
  const large = mapped(tensors, ({ shape, data, dtype }) => {
    const values = floatsOf({ dtype, data });
    return { dtype: "float32", shape, data: shape.length > 1 ? values.map((value) => value * 1e20) : values };
  });
  const lora = await writeTensors(join(await scratchFolder(), "strong.safetensors"), large);
  const pipe = await StableVideoDiffusionPipeline.fromPretrained(twoLevels, { loras: [{ path: lora, strength: 0.5 }] });
  try {
    const running = pipe.generate(picture, { width: 48, height: 32, numFrames: 2, numInferenceSteps: 1, seed: 1 });
    await expect(running).rejects.toMatchObject({
      code: "not-finite",
      message: expect.stringMatching(
        /^generate: \w+: the weight [\w.]+ is no longer finite with what LoRAs add; the cause is probably the LoRA .*strong\.safetensors at strength 0\.5: try a lower one, or /,
      ),
    });
  } finally {
    await pipe.dispose();
  }
});

it("numbers that are very large but finite end no run", async () => {
  const model = await damaged("vae", "decoder.conv_out.bias", "far too large");
  const { frames } = await run(model, { decodeChunkSize: 1 });
  expect(frames[0]!.data.every((value) => value === 0 || value === 1)).toBe(true);
});
