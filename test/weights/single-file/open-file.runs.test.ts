/**
 * Does a checkpoint in a single file give the same frames as in diffusers layout, and both those of the reference?
 *
 * Golden: python -m reference.golden single_file (reference/golden/single_file.py), diffusers 0.42.1
 * Golden: python -m reference.golden pipeline (reference/golden/pipeline.py), diffusers 0.42.1
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createOrtEngine } from "../../../src/engine/ort/ort-engine.ts";
import { loadImage } from "../../../src/node/image/load-image.ts";
import { StableVideoDiffusionPipeline } from "../../../src/node/stable-video-diffusion.ts";
import { openCheckpoint, openUnetFile, readSafetensors } from "../../../src/node/weights.ts";
import type { FloatTensor } from "../../../src/tensor.ts";
import { replaceUnet } from "../../../src/weights/single-file/unet-file.ts";
import type { Checkpoint } from "../../../src/weights/types.ts";
import { expectClose, items, readGolden, reshapedTo, type Tolerance } from "../../support/golden.ts";
import { platformOf } from "../../support/platform.ts";
import {
  asComfyUiSaves,
  diffusersTensors,
  identity,
  inFp32,
  readImageDecoder,
  readLayout,
  readStored,
  type Tensors,
  writeFolder,
  writeTensors,
} from "./layouts.ts";

let temporary: string;
let folder: string;
let expected: Awaited<ReturnType<typeof readGolden>>;
let tolerance: { latents: Tolerance; frames: Tolerance };

beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), "stillmotion-single-file-"));
  folder = await writeFolder(join(temporary, "svd_small"), await readStored());
  expected = await readGolden("weights", "single-file", "golden", "svd_small-run.safetensors");
  tolerance = expected.details.tolerance as typeof tolerance;
});
afterAll(() => rm(temporary, { recursive: true }));

interface Run {
  readonly frames: FloatTensor;
  readonly steps: readonly FloatTensor[];
}

/** The stored run, by another checkpoint. */
async function run(checkpoint: Checkpoint): Promise<Run> {
  const { metadata } = await readSafetensors(expected.path);
  const { image, ...call } = JSON.parse(metadata.call!) as Record<string, unknown>;
  await using pipe = new StableVideoDiffusionPipeline(checkpoint, platformOf(await createOrtEngine({ threads: 2 })), {
    preset: "diffusers", // whatever the files are called
  });
  const picture = await loadImage(join(import.meta.dirname, "../../pipeline/golden", image as string));
  const steps: FloatTensor[] = [];
  const { frames } = await pipe.generate<"floats">(picture, {
    ...call,
    output_type: "np",
    onStep: ({ latents }: { latents: FloatTensor }) => {
      steps.push(latents);
    },
  });
  return { frames: frames[0]!, steps };
}

function expectReference({ frames, steps }: Run, framesName: string): void {
  for (const [index, latents] of steps.entries()) {
    expectClose(latents, expected.tensor(`latents.step${index}`), tolerance.latents, `latents after step ${index + 1}`);
  }
  const clip = items(expected.tensor(framesName), 0, 1);
  expectClose(frames, reshapedTo(clip, clip.shape.slice(1)), tolerance.frames, framesName);
}

describe("the same weights", () => {
  it("give bit-equal frames as a folder and as a single file of fp16 or fp32, and those of the reference", async () => {
    const stored = await readStored();
    const fromFolder = await run(await openCheckpoint(folder));
    expectReference(fromFolder, "frames");
    for (const [name, tensors] of [
      ["svd_small.safetensors", stored],
      ["svd_small_fp32.safetensors", inFp32(stored)],
    ] as const) {
      const fromFile = await run(await openCheckpoint(await writeTensors(join(temporary, name), tensors)));
      expect(fromFile.frames.data, name).toEqual(fromFolder.frames.data);
      expect(fromFile.steps, name).toEqual(fromFolder.steps);
    }
  });

  it("give bit-equal frames as ComfyUI saves them, where quant_conv is the identity", async () => {
    const quantConv = "conditioner.embedders.3.encoder.quant_conv";
    const { weight, bias } = identity(8);
    const published = { ...inFp32(await readStored()), [`${quantConv}.weight`]: weight, [`${quantConv}.bias`]: bias };
    const saved = await asComfyUiSaves(published);
    const path = (name: string) => join(temporary, name);
    const asPublished = await run(
      await openCheckpoint(await writeTensors(path("svd_published.safetensors"), published)),
    );
    const asSaved = await run(await openCheckpoint(await writeTensors(path("svd_saved.safetensors"), saved)));
    expect(asSaved.frames.data).toEqual(asPublished.frames.data);
  });

  it("give bit-equal frames without the autoencoder's 1x1 convolutions, where each frame is decoded by itself", async () => {
    const convolutions = {
      "first_stage_model.quant_conv": identity(8),
      "first_stage_model.post_quant_conv": identity(4),
    };
    const stored = inFp32(await readImageDecoder());
    const without = Object.entries(await asComfyUiSaves(stored)).filter(([name]) => !/quant_conv/.test(name));
    const saved: Tensors = Object.fromEntries(without);
    const published = { ...saved };
    for (const [name, { weight, bias }] of Object.entries(convolutions)) {
      published[`${name}.weight`] = weight;
      published[`${name}.bias`] = bias;
    }
    const path = (name: string) => join(temporary, name);
    const asPublished = await run(await openCheckpoint(await writeTensors(path("svd_with.safetensors"), published)));
    const asSaved = await run(await openCheckpoint(await writeTensors(path("svd_without.safetensors"), saved)));
    expect(asSaved.frames.data).toEqual(asPublished.frames.data);
  });

  it("are decoded frame by frame where the decoder is that of pictures", async () => {
    const path = await writeTensors(join(temporary, "svd_small_image_decoder.safetensors"), await readImageDecoder());
    const checkpoint = await openCheckpoint(path);
    expect(checkpoint.vae.config._class_name).toBe("AutoencoderKL");
    expectReference(await run(checkpoint), "frames.image_decoder");
  });

  it("give bit-equal frames with a UNet from a file of its own, under either names", async () => {
    const stored = await readStored();
    const fromFolder = await run(await openCheckpoint(folder));
    const base = await openCheckpoint(folder);
    // The base's own UNet must not be what runs.
    const broken = { ...base, unet: { ...base.unet, tensors: new Map() } };
    const prefix = "model.diffusion_model.";
    const original = Object.entries(stored).filter(([name]) => name.startsWith(prefix));
    for (const [name, tensors] of [
      ["AnimateLCM-small.safetensors", diffusersTensors(stored, (await readLayout()).unet)],
      ["original.safetensors", Object.fromEntries(original)],
      ["bare.safetensors", Object.fromEntries(original.map(([key, tensor]) => [key.slice(prefix.length), tensor]))],
      ["whole.safetensors", stored],
    ] as const) {
      const unet = await openUnetFile(await writeTensors(join(temporary, name), tensors));
      expect("num_frames" in unet.config, name).toBe(false);
      const { frames } = await run(replaceUnet(broken, unet));
      expect(frames.data, name).toEqual(fromFolder.frames.data);
    }
  });
});
