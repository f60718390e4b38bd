/**
 * Does a run depend on what its caller does with pictures, tensors and options after the call, or in a callback?
 *
 * Golden: python -m reference.golden lora (reference/golden/lora.py), diffusers 0.42.1
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createImage, type Image } from "../../src/image/image.ts";
import { loadImage } from "../../src/node/image/load-image.ts";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import type { GenerateOptions } from "../../src/options/generate-call.ts";
import { resolveSettings } from "../../src/options/resolve-settings.ts";
import { copyTensor, type FloatTensor } from "../../src/tensor.ts";
import { picture } from "../support/picture.ts";

const root = join(import.meta.dirname, "..");
const folder = join(root, "checkpoints", "two-levels-fp32");
const small = { width: 48, height: 32, numFrames: 2, numInferenceSteps: 3, outputType: "latents" } as const;

let pipe: StableVideoDiffusionPipeline;
beforeAll(async () => {
  pipe = await StableVideoDiffusionPipeline.fromPretrained(folder, { offload: "none" });
});
afterAll(() => pipe.dispose());

type Options = GenerateOptions<"latents">;

const copyOf = ({ width, height, data }: Image) => createImage(width, height, data.slice());

/** The latents of a run whose pictures and options are changed as soon as the call has returned its promise. */
async function latentsOf(images: Image | Image[], options: Options, change = () => {}): Promise<Float32Array> {
  const run = pipe.generate(images, options);
  change();
  return (await run).latents.data;
}

describe("after the call", () => {
  it.each([
    ["of another size", picture],
    ["of the clip's size", createImage(48, 32, picture.data.slice(0, 48 * 32 * 3))],
  ])("a picture %s may be changed", async (_, image) => {
    const expected = await latentsOf(image, { ...small, seed: 1 });
    const changed = copyOf(image);
    expect(await latentsOf(changed, { ...small, seed: 1 }, () => changed.data.fill(0))).toEqual(expected);
  });

  it("the list of pictures may be changed", async () => {
    const [a, b] = [picture, createImage(16, 16, new Uint8Array(16 * 16 * 3).fill(200))];
    const expected = await latentsOf([a, b], { ...small, seed: 1 });
    const list = [a, b];
    expect(await latentsOf(list, { ...small, seed: 1 }, () => list.reverse().pop())).toEqual(expected);
  });

  it("latents that were given may be changed", async () => {
    const { latents } = await pipe.generate(picture, { ...small, seed: 5 });
    const expected = await latentsOf(picture, { ...small, seed: 1, latents });
    const given = copyTensor(latents);
    expect(await latentsOf(picture, { ...small, seed: 1, latents: given }, () => given.data.fill(0))).toEqual(expected);
  });

  it("options and the lists in them may be changed", async () => {
    const made = () => ({
      ...small,
      numInferenceSteps: undefined as number | undefined,
      numVideosPerPrompt: 2,
      seed: [1, 2],
      sigmas: [20, 5, 1, 0],
      guidanceInterval: [0, 10] as [number, number],
      minGuidanceScale: 1.5,
    });
    const expected = await latentsOf(picture, made());
    const options = made();
    const change = () => {
      options.seed.fill(9);
      options.sigmas.fill(1);
      options.guidanceInterval.fill(0.1);
      Object.assign(options, { seed: 3, minGuidanceScale: 3, numFrames: 1 });
    };
    expect(await latentsOf(picture, options, change)).toEqual(expected);
  });

  it("the bytes of a picture may be changed", async () => {
    const bytes = await readFile(join(root, "photos", "chelsea.jpg"));
    const expected = await loadImage(bytes);
    for (const changed of [Uint8Array.from(bytes), Uint8Array.from(bytes).buffer]) {
      const loading = loadImage(changed);
      new Uint8Array(changed instanceof Uint8Array ? changed.buffer : changed).fill(0);
      expect(await loading).toEqual(expected);
    }
  });

  it("a LoRA's bytes, its strength and the list of LoRAs may be changed", async () => {
    const file = join(root, "weights", "lora", "golden", "kohya.safetensors");
    const made = async () => ({ bytes: new Uint8Array(await readFile(file)), strength: 0.8 });
    const seeded = { ...small, seed: 1 };
    const latentsWith = async (opening: Promise<StableVideoDiffusionPipeline>) => {
      await using opened = await opening;
      return (await opened.generate(picture, seeded)).latents.data;
    };
    const expected = await latentsWith(StableVideoDiffusionPipeline.fromPretrained(folder, { loras: [await made()] }));
    expect(expected).not.toEqual(await latentsOf(picture, seeded));
    const lora = await made();
    const loras = [lora];
    const opening = StableVideoDiffusionPipeline.fromPretrained(folder, { loras });
    lora.bytes.fill(0);
    lora.strength = 0;
    loras.pop();
    expect(await latentsWith(opening)).toEqual(expected);
  });
});

describe("onStep", () => {
  it("is given a copy: what is done with it changes nothing", async () => {
    const kept: FloatTensor[] = [];
    const expected = await latentsOf(picture, { ...small, seed: 1, onStep: ({ latents }) => void kept.push(latents) });
    const asGiven = kept.map(copyTensor);
    const onStep: Options["onStep"] = ({ step, latents }) => {
      expect(latents).toEqual(asGiven[step - 1]);
      latents.data.fill(0);
    };
    expect(await latentsOf(picture, { ...small, seed: 1, onStep })).toEqual(expected);
    expect(kept).toEqual(asGiven);
  });

  it("may go on using what it returned", async () => {
    const half = ({ data }: FloatTensor) => data.map((value) => value / 2);
    const expected = await latentsOf(picture, {
      ...small,
      seed: 1,
      onStep: ({ latents }) => ({ ...latents, data: half(latents) }),
    });
    const returned: FloatTensor[] = [];
    const onStep: Options["onStep"] = ({ latents }) => {
      const tensor = { ...latents, data: half(latents) };
      returned.push(tensor);
      setImmediate(() => tensor.data.fill(0));
      return tensor;
    };
    expect(await latentsOf(picture, { ...small, seed: 1, onStep })).toEqual(expected);
    expect(returned[0]!.data.every((value) => value === 0)).toBe(true);
  });
});

it("the lists in settings that are given back are not those of the preset", () => {
  const preset = { sigmas: [20, 5, 1, 0], guidanceInterval: [0, 10] as [number, number] };
  const { settings } = resolveSettings({}, { width: 48, height: 32, numFrames: 2, preset });
  (settings.sigmas as number[]).fill(0);
  settings.guidanceInterval!.fill(0);
  expect(preset).toEqual({ sigmas: [20, 5, 1, 0], guidanceInterval: [0, 10] });
});
