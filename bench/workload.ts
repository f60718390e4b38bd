/** What does the bench compute? One UNet evaluation: its size, its inputs, and the files that both sides read. */
import { existsSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createGenerator } from "../src/random/generator.ts";
import { randn } from "../src/random/randn.ts";
import { floatTensor, type Tensor } from "../src/tensor.ts";
import { encodeSafetensors } from "../src/weights/safetensors.ts";
import { runCommand } from "./process.ts";

/** The size of one evaluation, in pixels of the clip. */
export interface ClipSize {
  readonly frames: number;
  readonly width: number;
  readonly height: number;
}

/** Where everything lies that both sides read. */
export interface Workload {
  readonly size: ClipSize;
  /** config.json and diffusion_pytorch_model.fp16.safetensors of the UNet. */
  readonly unetFolder: string;
  /** The tensors that `inputs` makes. */
  readonly inputsFile: string;
}

/** The names of a weights file's inputs are those of the graph in src/models/unet.ts. */
function inputs({ frames, width, height }: ClipSize): Record<string, Tensor> {
  const generator = createGenerator(0);
  return {
    latents: randn(generator, [frames, 4, height / 8, width / 8], "float32"),
    image_latents: randn(generator, [1, 4, height / 8, width / 8], "float32"),
    image_embedding: randn(generator, [1, 1024], "float32"),
    timestep: floatTensor([1, 1], Float32Array.of(0.25 * Math.log(14))),
    added_time_ids: floatTensor([3, 1], Float32Array.of(6, 127, 0.02)),
  };
}

/** Writes the inputs, and the checkpoint unless `folder` already has it. */
export async function prepareWorkload(folder: string, python: string, size: ClipSize): Promise<Workload> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, ".gitignore"), "*\n");
  const unetFolder = join(folder, "svd-xt-unet");
  if (!existsSync(join(unetFolder, "config.json"))) {
    await runCommand(python, ["-m", "reference.bench.make_checkpoint", unetFolder]);
  }
  const inputsFile = join(folder, `inputs-${size.frames}x${size.width}x${size.height}.safetensors`);
  await writeFile(`${inputsFile}.part`, encodeSafetensors(inputs(size)));
  await rename(`${inputsFile}.part`, inputsFile);
  return { size, unetFolder, inputsFile };
}
