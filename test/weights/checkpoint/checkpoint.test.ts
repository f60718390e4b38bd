/** Golden: python -m reference.golden lora (reference/golden/lora.py), diffusers 0.42.1 */
import { createHash } from "node:crypto";
import {
  appendFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { StillmotionError } from "../../../src/errors.ts";
import { openCheckpoint } from "../../../src/node/weights.ts";
import { decodeSafetensors, encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import type { Component } from "../../../src/weights/types.ts";

const checkpoints = join(import.meta.dirname, "../../checkpoints");
const diffusersFile = "diffusion_pytorch_model.safetensors";
const unetShards = ["00001", "00002"].map((n) => `diffusion_pytorch_model.fp16-${n}-of-00002.safetensors`);
const unetIndex = "diffusion_pytorch_model.safetensors.index.fp16.json";

let temporary: string;
beforeEach(async () => {
  temporary = await realpath(await mkdtemp(join(tmpdir(), "stillmotion-checkpoint-")));
});
afterEach(() => rm(temporary, { recursive: true }));

/** A copy of a stored checkpoint that a test may break. */
async function copyOf(name: string): Promise<string> {
  const folder = join(temporary, name);
  await cp(join(checkpoints, name), folder, { recursive: true });
  return folder;
}

async function editJson(path: string, edit: (json: Record<string, unknown>) => void): Promise<void> {
  const json = JSON.parse(await readFile(path, "utf8"));
  edit(json);
  await writeFile(path, JSON.stringify(json));
}

async function errorOf(folder: string, variant?: string): Promise<StillmotionError> {
  const error = await openCheckpoint(folder, variant === undefined ? {} : { variant }).catch((cause: unknown) => cause);
  if (error instanceof StillmotionError) return error;
  throw error instanceof Error ? error : new Error("the checkpoint was opened");
}

/** Bytes of every tensor of a component, by the offsets that were read. */
async function tensorBytes(component: Component): Promise<Record<string, Buffer>> {
  const files = new Map<string, Buffer>();
  const result: Record<string, Buffer> = {};
  for (const { name, file, offset, sizeBytes } of component.tensors.values()) {
    if (!files.has(file)) files.set(file, await readFile(join(component.weightsFolder, file)));
    result[name] = files.get(file)!.subarray(offset, offset + sizeBytes);
  }
  return result;
}

/** Moves every file of a checkpoint into blobs with hash names, and puts links where it was: the Hugging Face cache. */
async function asHubCache(folder: string): Promise<string> {
  const cache = join(temporary, "models--org--svd");
  const snapshot = join(cache, "snapshots", "9cf024d5bfa8f56622af86c884f26a52f6676f2e");
  await mkdir(join(cache, "blobs"), { recursive: true });
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const from = join(entry.parentPath, entry.name);
    const blob = join(
      cache,
      "blobs",
      createHash("sha256")
        .update(await readFile(from))
        .digest("hex"),
    );
    await rename(from, blob);
    const link = join(snapshot, from.slice(folder.length + 1));
    await mkdir(dirname(link), { recursive: true });
    await symlink(blob, link);
  }
  return snapshot;
}

describe("opening a checkpoint", () => {
  test("gives configurations and the place of every tensor", async () => {
    const folder = join(checkpoints, "two-levels-fp32");
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.modelIndex._class_name).toBe("StableVideoDiffusionPipeline");
    expect(checkpoint.schedulerConfig.use_karras_sigmas).toBe(true);
    expect(checkpoint.featureExtractorConfig.image_mean).toEqual([0.48145466, 0.4578275, 0.40821073]);
    expect(checkpoint.unet.config.in_channels).toBe(8);
    expect("preset" in checkpoint).toBe(false);
    expect(checkpoint.unet.weightsFolder).toBe(join(folder, "unet"));
    for (const [component, file] of [
      [checkpoint.unet, diffusersFile],
      [checkpoint.vae, diffusersFile],
      [checkpoint.imageEncoder, "model.safetensors"],
    ] as const) {
      const { tensors } = decodeSafetensors(await readFile(join(folder, component.name, file)), file);
      expect([...component.tensors.keys()].sort()).toEqual(Object.keys(tensors).sort());
      const bytes = await tensorBytes(component);
      for (const [name, { shape, data }] of Object.entries(tensors)) {
        expect(component.tensors.get(name)?.shape).toEqual(shape);
        expect(bytes[name]!.equals(Buffer.from(data.buffer)), name).toBe(true);
      }
    }
    expect(checkpoint.unet.tensors.get("conv_in.weight")).toMatchObject({ dtype: "float32", file: diffusersFile });
  });

  test("reads a sharded variant without being told its name when there is no other", async () => {
    const folder = join(checkpoints, "three-levels-fp16");
    const { unet, vae } = await openCheckpoint(folder);
    expect(await openCheckpoint(folder, { variant: "fp16" })).toEqual(await openCheckpoint(folder));
    expect(new Set([...unet.tensors.values()].map(({ file }) => file))).toEqual(new Set(unetShards));
    expect(vae.tensors.get("decoder.conv_in.weight")).toMatchObject({
      dtype: "float16",
      file: "diffusion_pytorch_model.fp16.safetensors",
    });
    const { weight_map: listed } = JSON.parse(await readFile(join(folder, "unet", unetIndex), "utf8"));
    expect(Object.fromEntries([...unet.tensors.values()].map(({ name, file }) => [name, file]))).toEqual(listed);
  });

  test("reads bfloat16", async () => {
    const { unet } = await openCheckpoint(join(checkpoints, "four-levels-bf16"));
    expect(unet.tensors.get("conv_in.weight")?.dtype).toBe("bfloat16");
  });

  test.each([
    ["diffusion_pytorch_model.fp16.safetensors.index.json", "-$n-of-00002.fp16"],
    ["diffusion_pytorch_model.safetensors.fp16.index.json", "-$n-of-00002.fp16"],
    ["diffusion_pytorch_model.safetensors.index.fp16.json", ".fp16-$n-of-00002"],
  ])("reads shards under the index name %s", async (indexName, shardName) => {
    const folder = await copyOf("three-levels-fp16");
    const before = await tensorBytes((await openCheckpoint(folder)).unet);
    const unet = join(folder, "unet");
    const renamed = ["00001", "00002"].map((n) => `diffusion_pytorch_model${shardName.replace("$n", n)}.safetensors`);
    for (const [i, name] of unetShards.entries()) await rename(join(unet, name), join(unet, renamed[i]!));
    await rename(join(unet, unetIndex), join(unet, indexName));
    await editJson(join(unet, indexName), (index) => {
      const listed = Object.entries(index.weight_map as Record<string, string>);
      index.weight_map = Object.fromEntries(listed.map(([name, file]) => [name, renamed[unetShards.indexOf(file)]]));
    });
    expect(await tensorBytes((await openCheckpoint(folder, { variant: "fp16" })).unet)).toEqual(before);
  });

  test("takes the plain files of a component that lacks the variant", async () => {
    const folder = await copyOf("two-levels-fp32");
    const vae = join(folder, "vae");
    await rename(join(vae, diffusersFile), join(vae, "diffusion_pytorch_model.fp16.safetensors"));
    const checkpoint = await openCheckpoint(folder, { variant: "fp16" });
    expect(checkpoint.vae.tensors.get("quant_conv.weight")?.file).toBe("diffusion_pytorch_model.fp16.safetensors");
    expect(checkpoint.unet.tensors.get("conv_in.weight")?.file).toBe(diffusersFile);
  });

  test("follows the links of the Hugging Face cache to the real files", async () => {
    const folder = await copyOf("three-levels-fp16");
    const before = await tensorBytes((await openCheckpoint(folder)).unet);
    const snapshot = await asHubCache(folder);
    const { unet } = await openCheckpoint(snapshot, { variant: "fp16" });
    expect(basename(unet.weightsFolder)).toBe("blobs");
    expect(await tensorBytes(unet)).toEqual(before);
    for (const { file } of unet.tensors.values()) expect(file).toMatch(/^[0-9a-f]{64}$/);
  });

  test("brings the contents of a preset.json", async () => {
    const folder = await copyOf("two-levels-fp32");
    await writeFile(join(folder, "preset.json"), '{"steps": 30, "maxGuidanceScale": 3}');
    expect((await openCheckpoint(folder)).preset).toEqual({ steps: 30, maxGuidanceScale: 3 });
  });
});

describe("what is not a checkpoint folder says what it is", () => {
  const layout =
    "expected a folder in diffusers layout, with model_index.json and the folders unet, vae and image_encoder";

  test("a folder that does not exist", async () => {
    const error = await errorOf(join(temporary, "svdd"));
    expect(error.message).toBe(`${join(temporary, "svdd")}: there is no such folder; ${layout}`);
    expect(error.code).toBe("invalid-checkpoint");
  });

  test("an empty folder, and one with other things", async () => {
    expect((await errorOf(temporary)).message).toBe(`${temporary}: has no model_index.json (it is empty); ${layout}`);
    for (const name of ["b.txt", "a.txt"]) await writeFile(join(temporary, name), "");
    expect((await errorOf(temporary)).message).toContain("has no model_index.json (it holds a.txt, b.txt)");
  });

  test("the folder above a checkpoint, and a cache entry", async () => {
    const folder = await copyOf("two-levels-fp32");
    expect((await errorOf(temporary)).message).toBe(
      `${temporary}: has no model_index.json, but ${folder} has: give that folder`,
    );
    const snapshot = await asHubCache(folder);
    expect((await errorOf(join(temporary, "models--org--svd"))).message).toContain(`but ${snapshot} has: give that`);
  });

  test("the folder of a LoRA", async () => {
    const folder = join(import.meta.dirname, "../lora/golden/peft");
    const error = await errorOf(folder);
    expect(error.message).toBe(
      `${folder}: is a LoRA, not a whole checkpoint: give it with loras, beside the checkpoint that it changes`,
    );
    expect(error.option).toBe("loras");
  });

  test("one component", async () => {
    const error = await errorOf(join(checkpoints, "two-levels-fp32", "unet"));
    expect(error.message).toContain(
      "is one component of a checkpoint: give the folder above it, with model_index.json",
    );
  });
});

describe("a checkpoint of another kind", () => {
  test("a text-to-image pipeline", async () => {
    const folder = await copyOf("two-levels-fp32");
    const path = join(folder, "model_index.json");
    await writeFile(
      path,
      '{"_class_name": "StableDiffusionPipeline", "text_encoder": ["transformers", "CLIPTextModel"]}',
    );
    expect((await errorOf(folder)).message).toBe(
      `${path}: is of class StableDiffusionPipeline, which makes pictures or clips from text; ` +
        "expected a StableVideoDiffusionPipeline, such as stabilityai/stable-video-diffusion-img2vid-xt",
    );
    await writeFile(path, "{}");
    expect((await errorOf(folder)).message).toContain("model_index.json: has no _class_name; expected a Stable");
  });

  test.each([
    ["unet", "UNet2DConditionModel", "names UNet2DConditionModel for unet, expected UNetSpatioTemporalConditionModel"],
    ["vae", "AutoencoderKL", "names AutoencoderKL for vae, expected AutoencoderKLTemporalDecoder"],
    [
      "scheduler",
      "FlowMatchEulerDiscreteScheduler",
      "names FlowMatchEulerDiscreteScheduler for scheduler, which samples flow matching, expected EulerDiscreteScheduler",
    ],
    ["image_encoder", null, "names no class for image_encoder, expected CLIPVisionModelWithProjection"],
  ])("a component of another class: %s %s", async (component, className, message) => {
    const folder = await copyOf("two-levels-fp32");
    await editJson(join(folder, "model_index.json"), (index) => {
      index[component] = [className && "diffusers", className];
    });
    expect((await errorOf(folder)).message).toBe(`${join(folder, "model_index.json")}: ${message}`);
  });

  test("a configuration of another class", async () => {
    const folder = await copyOf("two-levels-fp32");
    await editJson(join(folder, "vae", "config.json"), (config) => {
      config._class_name = "AutoencoderKL";
    });
    expect((await errorOf(folder)).message).toBe(
      `${join(folder, "vae", "config.json")}: is of class AutoencoderKL, expected AutoencoderKLTemporalDecoder`,
    );
  });
});

describe("a checkpoint with something missing or broken", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await copyOf("two-levels-fp32");
  });

  test.each(["unet", "vae", "image_encoder"])("no folder %s", async (name) => {
    await rm(join(folder, name), { recursive: true });
    expect((await errorOf(folder)).message).toBe(
      `${join(folder, name)}: the folder is missing: is the download complete?`,
    );
  });

  test.each(["unet/config.json", "scheduler/scheduler_config.json", "feature_extractor/preprocessor_config.json"])(
    "no %s",
    async (name) => {
      await rm(join(folder, name));
      expect((await errorOf(folder)).message).toBe(`${join(folder, name)}: is missing: is the download complete?`);
    },
  );

  test("JSON that does not parse", async () => {
    await writeFile(join(folder, "unet", "config.json"), '{\n  "in_channels": 8,\n');
    expect((await errorOf(folder)).message).toBe(
      `${join(folder, "unet", "config.json")}: cannot be read at line 3, column 1: ` +
        "expected a name in quotes but found the end",
    );
  });

  test("only pickle weights", async () => {
    const unet = join(folder, "unet");
    await rename(join(unet, diffusersFile), join(unet, "diffusion_pytorch_model.bin"));
    const error = await errorOf(folder);
    expect(error.message).toContain(
      `${unet}/diffusion_pytorch_model.bin: pickle weights (.bin, .ckpt, .pt) are not read`,
    );
    expect(error.code).toBe("unsupported");
  });

  test("a truncated and a grown weights file", async () => {
    const path = join(folder, "vae", diffusersFile);
    const { size } = await stat(path);
    await truncate(path, size - 1);
    expect((await errorOf(folder)).message).toBe(
      `${path}: is ${size - 1} bytes long, its header promises ${size}: is this half a download?`,
    );
    await appendFile(path, "ab");
    expect((await errorOf(folder)).message).toContain(`its last tensor ends at byte ${size}`);
  });

  test("a link to nothing", async () => {
    const path = join(folder, "unet", diffusersFile);
    await rm(path);
    await symlink("../../blobs/0f9a", path);
    expect((await errorOf(folder)).message).toBe(
      `${path}: is missing, or a link to nothing (ENOENT: no such file or directory): is the download complete?`,
    );
  });

  test("a tensor in a format that no graph reads", async () => {
    const header = '{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}';
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const path = join(folder, "vae", diffusersFile);
    await writeFile(path, Buffer.concat([length, Buffer.from(header), Buffer.alloc(8)]));
    const error = await errorOf(folder);
    expect(error.message).toBe(
      `${path}: a is stored as F64; stillmotion reads F32, F16, BF16, F8_E4M3, F8_E5M2, I64, I32, I8, U8, BOOL`,
    );
    expect(error.code).toBe("unsupported");
  });

  test("a weights file without tensors", async () => {
    await writeFile(join(folder, "vae", diffusersFile), encodeSafetensors({}));
    expect((await errorOf(folder)).message).toBe(`${join(folder, "vae")}: its weights files hold no tensors`);
  });

  test("a variant that is nowhere", async () => {
    expect((await errorOf(folder, "fp16")).message).toBe(
      `${folder}: has no weights of the variant "fp16"; leave the variant out`,
    );
    expect((await errorOf(join(checkpoints, "three-levels-fp16"), "bf16")).message).toMatch(
      /has no weights of the variant "bf16"; it has fp16$/,
    );
  });
});

describe("shards that do not fit together", () => {
  let folder: string;
  let unet: string;
  const [first, second] = unetShards as [string, string];
  beforeEach(async () => {
    folder = await copyOf("three-levels-fp16");
    unet = join(folder, "unet");
  });
  const editMap = (edit: (listed: Record<string, unknown>) => void) =>
    editJson(join(unet, unetIndex), (index) => edit(index.weight_map as Record<string, unknown>));

  test("a shard is missing", async () => {
    await rm(join(unet, second));
    expect((await errorOf(folder)).message).toContain(`${join(unet, second)}: is missing, or a link to nothing`);
  });

  test("a shard is truncated", async () => {
    const { size } = await stat(join(unet, second));
    await truncate(join(unet, second), size - 1000);
    expect((await errorOf(folder)).message).toBe(
      `${join(unet, second)}: is ${size - 1000} bytes long, its header promises ${size}: is this half a download?`,
    );
  });

  test("a tensor is in two shards", async () => {
    await cp(join(unet, first), join(unet, second));
    await editMap((listed) => {
      for (const name of Object.keys(listed)) if (listed[name] === second) delete listed[name];
      listed["conv_out.weight"] = second;
    });
    const { message } = await errorOf(folder);
    expect(message).toBe(`${unet}: both ${first} and ${second} hold add_embedding.linear_1.bias`);
  });

  test("a tensor is not listed, listed elsewhere, or not there", async () => {
    await editMap((listed) => delete listed["add_embedding.linear_1.bias"]);
    expect((await errorOf(folder)).message).toBe(
      `${join(unet, first)}: holds add_embedding.linear_1.bias, but ${unetIndex} does not list it: are the files of one download?`,
    );
    await editMap((listed) => {
      listed["add_embedding.linear_1.bias"] = second;
    });
    expect((await errorOf(folder)).message).toContain(
      `holds add_embedding.linear_1.bias, but ${unetIndex} lists it in ${second}`,
    );
    await editMap((listed) => {
      listed["add_embedding.linear_1.bias"] = first;
      listed["extra.weight"] = second;
    });
    expect((await errorOf(folder)).message).toBe(
      `${join(unet, second)}: does not hold extra.weight, which ${unetIndex} lists in it`,
    );
  });

  test.each(["../../vae/diffusion_pytorch_model.fp16.safetensors", "/etc/passwd", "..\\x.safetensors", "NUL", ""])(
    "the index names %j",
    async (name) => {
      await editMap((listed) => {
        listed["conv_in.weight"] = name;
      });
      expect((await errorOf(folder)).message).toMatch(
        new RegExp(`${unetIndex}: names the file .*, expected a plain file name in the same folder$`),
      );
    },
  );

  test("the index names something else than weights, or nothing", async () => {
    await editMap((listed) => {
      listed["conv_in.weight"] = "config.json";
    });
    expect((await errorOf(folder)).message).toContain("names config.json, expected .safetensors files");
    await editMap((listed) => {
      listed["conv_in.weight"] = 7;
    });
    expect((await errorOf(folder)).message).toContain("weight_map.conv_in.weight is not a file name");
    await writeFile(join(unet, unetIndex), '{"weight_map": []}');
    expect((await errorOf(folder)).message).toContain("has no weight_map, expected the file name of each tensor");
  });

  test("the files really lie in two folders", async () => {
    const elsewhere = join(temporary, "elsewhere");
    await mkdir(elsewhere);
    await rename(join(unet, second), join(elsewhere, second));
    await symlink(join(elsewhere, second), join(unet, second));
    expect((await errorOf(folder)).message).toBe(
      `${unet}: its weights files really lie in two folders, ${unet} and ${elsewhere}; ONNX Runtime needs them in one`,
    );
  });
});
