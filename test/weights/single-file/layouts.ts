/**
 * The small checkpoint of these tests in every layout: the reference's single file, and what is made of its bytes.
 *
 * Golden: python -m reference.golden single_file (reference/golden/single_file.py), diffusers 0.42.1
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { float16ToFloat32 } from "../../../src/half.ts";
import type { Tensor } from "../../../src/tensor.ts";
import { decodeSafetensors, encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import { publishedFeatureExtractor, publishedScheduler } from "../../../src/weights/single-file/published-configs.ts";
import type { JsonObject } from "../../../src/weights/types.ts";

const golden = join(import.meta.dirname, "golden");

export type Tensors = Record<string, Tensor>;
type Change = "" | "q" | "k" | "v" | "1x1" | "transposed";

interface Layout {
  readonly config: JsonObject;
  /** For each diffusers name the original one, and how its tensor becomes this one. */
  readonly tensors: Readonly<Record<string, readonly [string, Change]>>;
}

/** What the reference's own mapping says, which knows nothing of the one under test. */
export async function readLayout(): Promise<Record<"unet" | "vae" | "image_encoder", Layout>> {
  return JSON.parse(await readFile(join(golden, "svd_small.json"), "utf8"));
}

/** The stored single file, fp16. */
export async function readStored(): Promise<Tensors> {
  const bytes = gunzipSync(await readFile(join(golden, "svd_small.safetensors.gz")));
  return decodeSafetensors(bytes, "svd_small.safetensors.gz").tensors;
}

/** The same with a frame-wise decoder, as in the files with `_image_decoder` in their names. */
export async function readImageDecoder(): Promise<Tensors> {
  const added = decodeSafetensors(await readFile(join(golden, "frame-wise-parts.safetensors")), "frame-wise").tensors;
  const temporal = /^first_stage_model\.decoder\..*(time_stack|mix_factor|time_mix_conv)/;
  const kept = Object.entries(await readStored()).filter(([name]) => !temporal.test(name));
  return { ...Object.fromEntries(kept), ...added };
}

/**
 * What ComfyUI's nodes for saving a checkpoint write of it: comfy_extras/nodes_model_merging.py `save_checkpoint` and
 * comfy/supported_models.py `SVD_img2vid`. Of the picture's autoencoder only the encoder is there, without `quant_conv`,
 * which is to be the identity.
 */
export async function asComfyUiSaves(stored: Tensors): Promise<Tensors> {
  const { image_encoder } = await readLayout();
  const scalar = { dtype: "float32", shape: [], data: new Float32Array(1) } as const;
  const saved: Tensors = { "edm_vpred.sigma_max": scalar, "edm_vpred.sigma_min": scalar };
  for (const [name, tensor] of Object.entries(diffusersTensors(stored, image_encoder))) {
    saved[`conditioner.embedders.0.open_clip.model.visual.${name}`] = tensor;
  }
  for (const [name, tensor] of Object.entries(stored)) {
    if (/^(model\.diffusion_model|first_stage_model\.decoder)\./.test(name)) saved[name] = tensor;
    const encoder = /^conditioner\.embedders\.3\.encoder\.(encoder\..+)$/.exec(name);
    if (encoder) saved[`first_stage_model.${encoder[1]}`] = tensor;
  }
  return saved;
}

/** What is looked at first in the file of a UNet, for so many levels. */
export function unetOfLevels(count: number): Tensors {
  const level = { dtype: "uint8", shape: [1], data: new Uint8Array(1) } as const;
  const names = Array.from({ length: count }, (_, index) => `down_blocks.${index}.resnets.0.temporal_res_block.x`);
  return { "conv_in.weight": level, ...Object.fromEntries(names.map((name) => [name, level])) };
}

/** The autoencoder's `quant_conv`, or another 1x1 convolution, as the identity. */
export function identity(channels: number): { weight: Tensor; bias: Tensor } {
  const data = Float32Array.from({ length: channels ** 2 }, (_, place) => (place % (channels + 1) === 0 ? 1 : 0));
  return {
    weight: { dtype: "float32", shape: [channels, channels, 1, 1], data },
    bias: { dtype: "float32", shape: [channels], data: new Float32Array(channels) },
  };
}

export function inFp32(tensors: Tensors): Tensors {
  return mapped(tensors, ({ shape, data }) => ({
    dtype: "float32",
    shape,
    data: float16ToFloat32(data as Uint16Array),
  }));
}

export function mapped(tensors: Tensors, change: (tensor: Tensor) => Tensor): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, change(tensor)]));
}

export async function writeTensors(path: string, tensors: Tensors, metadata = {}): Promise<string> {
  await writeFile(path, encodeSafetensors(tensors, metadata));
  return path;
}

/** The tensors of one network under their diffusers names, copied. */
export function diffusersTensors(stored: Tensors, { tensors }: Layout): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, [original, change]]) => [name, changed(stored[original]!, change)]),
  );
}

/** A folder in diffusers layout, with the configurations that the reference's networks have. */
export async function writeFolder(folder: string, stored: Tensors): Promise<string> {
  const layout = await readLayout();
  const json = (path: string, value: unknown) => writeFile(join(folder, path), JSON.stringify(value));
  for (const name of ["unet", "vae", "image_encoder", "scheduler", "feature_extractor"]) {
    await mkdir(join(folder, name), { recursive: true });
  }
  for (const name of ["unet", "vae", "image_encoder"] as const) {
    const file = name === "image_encoder" ? "model" : "diffusion_pytorch_model";
    await json(join(name, "config.json"), layout[name].config);
    await writeTensors(join(folder, name, `${file}.safetensors`), diffusersTensors(stored, layout[name]));
  }
  await json("scheduler/scheduler_config.json", publishedScheduler);
  await json("feature_extractor/preprocessor_config.json", publishedFeatureExtractor);
  await json("model_index.json", {
    _class_name: "StableVideoDiffusionPipeline",
    unet: ["diffusers", "UNetSpatioTemporalConditionModel"],
    vae: ["diffusers", "AutoencoderKLTemporalDecoder"],
    image_encoder: ["transformers", "CLIPVisionModelWithProjection"],
    scheduler: ["diffusers", "EulerDiscreteScheduler"],
    feature_extractor: ["transformers", "CLIPImageProcessor"],
  });
  return folder;
}

function changed({ dtype, shape, data }: Tensor, change: Change): Tensor {
  const [rows, columns] = shape as [number, number];
  switch (change) {
    case "":
      return { dtype, shape, data } as Tensor;
    case "1x1":
      return { dtype, shape: [rows, columns], data } as Tensor;
    case "transposed": {
      const result = data.slice() as Uint16Array;
      for (let i = 0; i < result.length; i++)
        result[i] = (data as Uint16Array)[(i % rows) * columns + Math.floor(i / rows)]!;
      return { dtype, shape: [columns, rows], data: result } as Tensor;
    }
    default: {
      const third = data.length / 3;
      const start = "qkv".indexOf(change) * third;
      return { dtype, shape: shape.with(0, rows / 3), data: data.slice(start, start + third) } as Tensor;
    }
  }
}
