/**
 * Do checkpoints and LoRAs open from files that are no files of this machine, such as those dropped on a page?
 *
 * Golden: python -m reference.golden float8 (reference/golden/float8.py), diffusers 0.42.1
 */
import { openAsBlob } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { disk } from "../../src/node/files/disk.ts";
import { openCheckpoint } from "../../src/weights/checkpoint/checkpoint.ts";
import { type FileSource, readInto } from "../../src/weights/file-source.ts";
import { readLora } from "../../src/weights/lora/read-lora.ts";
import { openUnetFile } from "../../src/weights/single-file/unet-file.ts";
import type { Component } from "../../src/weights/types.ts";
import { blobFiles } from "../support/blob-files.ts";

const checkpoints = join(import.meta.dirname, "../checkpoints");
const loras = join(import.meta.dirname, "../weights/lora/golden");

/** All files below a folder, as a page would have them under `name`. */
async function dropped(folder: string, name: string): Promise<Map<string, Blob>> {
  const blobs = new Map<string, Blob>();
  for (const path of (await readdir(folder, { recursive: true })).sort()) {
    const onDisk = join(folder, path);
    if ((await stat(onDisk)).isFile()) blobs.set(`${name}/${path.replaceAll("\\", "/")}`, await openAsBlob(onDisk));
  }
  return blobs;
}

/** What an engine would read of each tensor. */
async function bytesOf(files: FileSource, { tensors, weightsFolder }: Component): Promise<Map<string, Uint8Array>> {
  const bytes = new Map<string, Uint8Array>();
  for (const { name, file, offset, sizeBytes } of tensors.values()) {
    const opened = await files.open(files.join(weightsFolder, file));
    const tensor = new Uint8Array(sizeBytes);
    expect(await readInto(opened, tensor, offset)).toBe(sizeBytes);
    await opened.close();
    bytes.set(name, tensor);
  }
  return bytes;
}

describe("files in a browser's memory", () => {
  it.each(["two-levels-fp32", "three-levels-fp16", "four-levels-bf16"])("open as the checkpoint %s", async (name) => {
    const files = blobFiles(await dropped(join(checkpoints, name), "dropped"));
    const fromBlobs = await openCheckpoint(files, "dropped");
    const fromDisk = await openCheckpoint(disk, join(checkpoints, name));
    for (const part of ["unet", "vae", "imageEncoder"] as const) {
      expect(fromBlobs[part].weightsFolder).toMatch(/^dropped\/(unet|vae|image_encoder)$/);
      expect({ ...fromBlobs[part], weightsFolder: "" }).toEqual({ ...fromDisk[part], weightsFolder: "" });
      expect(await bytesOf(files, fromBlobs[part])).toEqual(await bytesOf(disk, fromDisk[part]));
    }
    const rest = { folder: "", unet: undefined, vae: undefined, imageEncoder: undefined };
    expect({ ...fromBlobs, ...rest }).toEqual({ ...fromDisk, ...rest });
  });

  it("open as a LoRA's folder and as a UNet of its own", async () => {
    const file = join(loras, "diffusers.safetensors");
    const unet = join(checkpoints, "two-levels-fp32/unet/diffusion_pytorch_model.safetensors");
    const files = blobFiles(
      new Map([
        ["lora/pytorch_lora_weights.safetensors", await openAsBlob(file)],
        ["unet.safetensors", await openAsBlob(unet)],
      ]),
    );
    const { layers } = await readLora(files, "lora");
    expect(layers).toEqual((await readLora(disk, file)).layers);
    const fromBlob = await openUnetFile(files, "unet.safetensors");
    expect(await bytesOf(files, fromBlob)).toEqual(await bytesOf(disk, await openUnetFile(disk, unet)));
  });
});

describe("the messages are those of a disk, with the paths of the page", () => {
  const config = "svd/unet/config.json";
  const weights = "svd/vae/diffusion_pytorch_model.safetensors";
  const truncated = (blobs: Map<string, Blob>) => blobs.set(weights, blobs.get(weights)!.slice(0, 1000));

  it.each<[string, (blobs: Map<string, Blob>) => unknown, RegExp]>([
    ["no folder", (blobs) => blobs.clear(), /^svd: there is no such folder; expected a folder in diffusers layout/],
    [
      "a missing file",
      (blobs) => blobs.delete(config),
      /^svd\/unet\/config\.json: is missing: is the download complete\?$/,
    ],
    [
      "half a file",
      truncated,
      /^svd\/vae\/diffusion_pytorch_model\.safetensors: is 1000 bytes long, its header promises/,
    ],
    [
      "the folder above",
      (blobs) => {
        for (const [path, blob] of [...blobs]) blobs.set(path.replace("svd/", "svd/xt/"), blob).delete(path);
      },
      /^svd: has no model_index\.json, but svd\/xt has: give that folder$/,
    ],
  ])("%s", async (_, change, message) => {
    const blobs = await dropped(join(checkpoints, "two-levels-fp32"), "svd");
    change(blobs);
    await expect(openCheckpoint(blobFiles(blobs), "svd")).rejects.toMatchObject({
      code: "invalid-checkpoint",
      message: expect.stringMatching(message),
    });
  });
});
