/** What is computed on? Inputs that both sides read from one file, always the same for one checkpoint and size. */
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadImage } from "../src/node/image/load-image.ts";
import { StableVideoDiffusionPipeline } from "../src/node/stable-video-diffusion.ts";
import { createGenerator } from "../src/random/generator.ts";
import { randn } from "../src/random/randn.ts";
import { type FloatTensor, floatTensor, type Tensor } from "../src/tensor.ts";
import { encodeSafetensors } from "../src/weights/safetensors/safetensors.ts";
import type { BenchCheckpoint } from "./checkpoints.ts";
import type { ClipSize } from "./options.ts";

/** Of one UNet evaluation; the names are those of the graphs in src/models/unet.ts and src/models/conditioning.ts. */
export async function unetInputs(
  scratchFolder: string,
  { unet, vae }: BenchCheckpoint,
  size: ClipSize,
): Promise<string> {
  const generator = createGenerator(0);
  const [height, width] = [size.height / vae.scale, size.width / vae.scale];
  return save(scratchFolder, "unet", {
    latents: randn(generator, [size.frames, vae.latentChannels, height, width], "float32"),
    image_latents: randn(generator, [1, vae.latentChannels, height, width], "float32"),
    image_embedding: randn(generator, [1, unet.contextChannels], "float32"),
    timestep: floatTensor([1, 1], Float32Array.of(0.25 * Math.log(14))),
    added_time_ids: floatTensor([3, 1], Float32Array.of(6, 127, 0.02)),
  });
}

/**
 * Of decoding: `latents` (frames, 4, latent height, latent width), before they are divided by the scaling factor. Those of a
 * clip where the checkpoint can make one: what windows do to noise says little about flicker.
 */
export async function decodeInputs(
  scratchFolder: string,
  checkpoint: BenchCheckpoint,
  size: ClipSize,
): Promise<string> {
  const latents = checkpoint.isTrained ? clipLatents(checkpoint, size) : clipNoise(checkpoint, size, 0);
  const { shape, data } = await latents;
  return save(scratchFolder, "decode", { latents: floatTensor(shape.slice(1), data) });
}

/** Of whole clips: for each run N a held-out photo `picture.N` (height, width, 3) and `noise.N` in the shape of the latents. */
export async function clipInputs(
  scratchFolder: string,
  checkpoint: BenchCheckpoint,
  size: ClipSize,
  runs: number,
): Promise<string> {
  const photos = await heldOutPhotos();
  const inputs: Record<string, Tensor> = {};
  for (let run = 0; run < runs; run++) {
    const { width, height, data } = await loadImage(photos[run % photos.length]!);
    inputs[`picture.${run}`] = { dtype: "uint8", shape: [height, width, 3], data };
    inputs[`noise.${run}`] = clipNoise(checkpoint, size, run);
  }
  return save(scratchFolder, "clip", inputs);
}

/** Photos that the built-in checkpoint was not trained on. */
export async function heldOutPhotos(): Promise<string[]> {
  const folder = join("test", "photos");
  const files = (await readdir(folder)).filter((file) => file.endsWith(".jpg"));
  return files.sort().map((file) => join(folder, file));
}

/** (1, frames, 4, latent height, latent width), as the checkpoint makes them of a photo. */
async function clipLatents({ folder }: BenchCheckpoint, { frames, width, height }: ClipSize): Promise<FloatTensor> {
  await using pipeline = await StableVideoDiffusionPipeline.fromPretrained(folder);
  const [photo] = await heldOutPhotos();
  const settings = { numFrames: frames, width, height, seed: 0, outputType: "latents" } as const;
  return (await pipeline.generate(await loadImage(photo!), settings)).latents;
}

/** (1, frames, 4, latent height, latent width). */
function clipNoise({ vae }: BenchCheckpoint, { frames, width, height }: ClipSize, seed: number) {
  const shape = [1, frames, vae.latentChannels, height / vae.scale, width / vae.scale];
  return randn(createGenerator(seed), shape, "float32");
}

async function save(scratchFolder: string, name: string, inputs: Readonly<Record<string, Tensor>>): Promise<string> {
  const file = join(scratchFolder, `${name}-inputs.safetensors`);
  await writeFile(file, encodeSafetensors(inputs));
  return file;
}
