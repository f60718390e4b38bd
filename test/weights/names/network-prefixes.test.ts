/** Does a folder open whatever stands before the names of its components' tensors? */
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { StillmotionError } from "../../../src/errors.ts";
import { openCheckpoint } from "../../../src/node/weights.ts";
import { withoutWrappers } from "../../../src/weights/names/wrapper-prefixes.ts";
import { decodeSafetensors, encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import { checkpointCopy, editTensors, original, renamed, weightsFiles } from "../checkpoint-copy.ts";
import { contentsOf } from "../contents.ts";
import type { Tensors } from "../single-file/layouts.ts";

const expected = await contentsOf(await openCheckpoint(original));

type Name = keyof typeof weightsFiles;

async function withNames(component: Name, edit: (tensors: Tensors) => Tensors): Promise<string> {
  const folder = await checkpointCopy();
  await editTensors(join(folder, weightsFiles[component]), edit);
  return folder;
}

const messageOf = (folder: string) =>
  openCheckpoint(folder).then(
    () => "no error",
    (error: StillmotionError) => error.message.replace(`${folder}/`, ""),
  );

it("takes what a network was wrapped in off a name, wherever it stands", () => {
  expect(withoutWrappers("module._orig_mod.down_blocks.0._orig_mod.resnets.0.conv1.weight")).toBe(
    "down_blocks.0.resnets.0.conv1.weight",
  );
  expect(withoutWrappers("modules.0.my_module.module")).toBe("modules.0.my_module.module");
});

describe("the tensors of a component may be", () => {
  it.each<[Name, string]>([
    ...["_orig_mod.", "module.", "_orig_mod.module.", "unet.", "model.", "diffusion_model.", "generator."].map(
      (start): [Name, string] => ["unet", start],
    ),
    ["unet", "model.diffusion_model."],
    ["unet", "module.unet._orig_mod."],
    ["vae", "_orig_mod."],
    ["vae", "vae."],
    ["vae", "first_stage_model."],
    ["vae", "module.vae."],
    ["image_encoder", "_orig_mod."],
    ["image_encoder", "image_encoder."],
    ["image_encoder", "model."],
    ["image_encoder", "vision_model."],
    ["image_encoder", "image_encoder.vision_model."],
    ["image_encoder", "module.clip."],
  ])("%s below %s", async (component, start) => {
    const folder = await withNames(component, (tensors) => renamed(tensors, (name) => start + name));
    expect(await contentsOf(await openCheckpoint(folder))).toEqual(expected);
  });

  it.each<[Name, RegExp, string]>([
    ["unet", /^(down_blocks\.0|mid_block)\./, "$1._orig_mod."],
    ["unet", /^(down_blocks\.\d+\.resnets\.\d+)\./, "$1._orig_mod."],
    ["unet", /^(up_blocks)\./, "unet.$1."],
    ["vae", /^(encoder|decoder)\./, "$1._orig_mod."],
    ["vae", /^(decoder)\./, "vae.$1."],
    ["image_encoder", /^vision_model\./, ""],
    ["image_encoder", /^(vision_model\.encoder\.layers\.\d+)\./, "$1.module."],
  ])("%s with %s as %s", async (component, pattern, replacement) => {
    const folder = await withNames(component, (tensors) =>
      renamed(tensors, (name) => name.replace(pattern, replacement)),
    );
    expect(await contentsOf(await openCheckpoint(folder))).toEqual(expected);
  });

  it("in shards, whose index names them as they are stored", async () => {
    const folder = await checkpointCopy();
    const path = join(folder, weightsFiles.unet);
    const stored = renamed(decodeSafetensors(await readFile(path), path).tensors, (name) => `module.${name}`);
    await rm(path);
    const names = Object.keys(stored);
    const shard = (index: number) => `diffusion_pytorch_model-0000${index + 1}-of-00002.safetensors`;
    for (const index of [0, 1]) {
      const part = Object.fromEntries(Object.entries(stored).filter((_, place) => place % 2 === index));
      await writeFile(join(folder, "unet", shard(index)), encodeSafetensors(part));
    }
    const map = Object.fromEntries(names.map((name, place) => [name, shard(place % 2)]));
    await writeFile(`${path}.index.json`, JSON.stringify({ weight_map: map }));
    expect(await contentsOf(await openCheckpoint(folder))).toEqual(expected);
  });
});

describe("but", () => {
  it("two tensors for one place are named", async () => {
    const folder = await withNames("unet", (tensors) => ({
      ...tensors,
      "_orig_mod.conv_in.bias": tensors["conv_in.bias"]!,
    }));
    expect(await messageOf(folder)).toBe(
      "unet: holds conv_in.bias and _orig_mod.conv_in.bias: both are conv_in.bias without what stands before it; keep one of them",
    );
  });

  it("averages of the training are not taken for the weights", async () => {
    const folder = await withNames("unet", (tensors) => renamed(tensors, (name) => `model_ema.${name}`));
    expect(await messageOf(folder)).toBe(
      "unet: its tensors are named model_ema.*, averages of the training and not the weights themselves; " +
        "expected names of its unet, such as conv_in.weight, alone or after unet., diffusion_model. or model.diffusion_model.",
    );
  });

  it("two networks that cannot be told apart are named", async () => {
    const folder = await withNames("vae", (tensors) => ({
      ...renamed(tensors, (name) => `student.${name}`),
      ...renamed(tensors, (name) => `teacher.${name}`),
    }));
    expect(await messageOf(folder)).toContain(
      "vae: its tensors are named student.*, teacher.*; expected names of its vae",
    );
  });

  it("another network in a component's folder is named by its tensors", async () => {
    const folder = await checkpointCopy();
    await rename(join(folder, "image_encoder/model.safetensors"), join(folder, weightsFiles.unet));
    expect(await messageOf(folder)).toContain(
      "unet: its tensors are named vision_model.*, visual_projection.*; expected names of its unet",
    );
  });
});
