/** A stored checkpoint that a test may change. */
import { cp, mkdtemp, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { decodeSafetensors, encodeSafetensors } from "../../src/weights/safetensors/safetensors.ts";
import type { Tensors } from "./single-file/layouts.ts";

export const original = join(import.meta.dirname, "../checkpoints/two-levels-fp32");

/** In a folder of its own, gone when the test is over. */
export async function checkpointCopy(from = original): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "stillmotion-copy-")));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await cp(from, folder, { recursive: true });
  return folder;
}

export async function editJson(path: string, edit: (json: Record<string, unknown>) => void): Promise<void> {
  const json = JSON.parse(await readFile(path, "utf8"));
  edit(json);
  await writeFile(path, JSON.stringify(json));
}

export const weightsFiles = {
  unet: "unet/diffusion_pytorch_model.safetensors",
  vae: "vae/diffusion_pytorch_model.safetensors",
  image_encoder: "image_encoder/model.safetensors",
} as const;

export async function editTensors(path: string, edit: (tensors: Tensors) => Tensors): Promise<void> {
  await writeFile(path, encodeSafetensors(edit(decodeSafetensors(await readFile(path), path).tensors)));
}

export function renamed(tensors: Tensors, rename: (name: string) => string): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [rename(name), tensor]));
}
