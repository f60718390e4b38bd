/**
 * Is a LoRA of two files, as PEFT writes it, the same as one that carries its alpha among its tensors? And what else can a folder be?
 *
 * Golden: python -m reference.golden lora (reference/golden/lora.py), diffusers 0.42.1
 */
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { disk } from "../../../src/node/files/disk.ts";
import { loadImage } from "../../../src/node/image/load-image.ts";
import { StableVideoDiffusionPipeline } from "../../../src/node/stable-video-diffusion.ts";
import { readClipMetadata } from "../../../src/node/video/read-metadata.ts";
import { readSafetensors } from "../../../src/node/weights.ts";
import { type LoraSource, readLoras } from "../../../src/options/loras.ts";
import type { Tensor } from "../../../src/tensor.ts";
import { readLora } from "../../../src/weights/lora/read-lora.ts";
import { encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import { checkpoint, picture, scratchFolder, small, stillmotionHere } from "../../cli/command.ts";

const golden = join(import.meta.dirname, "golden");
const peftFolder = join(golden, "peft");

/** Layers of rank 4, without a word of alpha. */
let halves: Record<string, Tensor>;
beforeAll(async () => {
  halves = (await readSafetensors(join(golden, "diffusers.safetensors"))).tensors;
});

const inPeft = (tensors: Record<string, Tensor>) => renamed(tensors, (name) => `base_model.model.${name}`);

function inKohya(tensors: Record<string, Tensor>): Record<string, Tensor> {
  return renamed(tensors, (name) => {
    const [, path, part] = /^(.+)\.lora_([AB])\.weight$/.exec(name)!;
    return `lora_unet_${path!.replaceAll(".", "_")}.lora_${part === "A" ? "down" : "up"}.weight`;
  });
}

function renamed(tensors: Record<string, Tensor>, rename: (name: string) => string): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [rename(name), tensor]));
}

/** With alpha as one more tensor of each layer. */
function withAlpha(tensors: Record<string, Tensor>, alpha: number): Record<string, Tensor> {
  const layers = Object.keys(tensors).flatMap((name) => /^(.+)\.(?:lora_A|lora_down)\.weight$/.exec(name)?.[1] ?? []);
  const tensor: Tensor = { dtype: "float32", shape: [], data: Float32Array.of(alpha) };
  return { ...tensors, ...Object.fromEntries(layers.map((layer) => [`${layer}.alpha`, tensor])) };
}

/** @param files tensors or objects by their names */
async function folderWith(files: Record<string, object>): Promise<string> {
  const folder = await scratchFolder();
  for (const [name, content] of Object.entries(files)) {
    const isTensors = name.endsWith(".safetensors");
    const data = isTensors ? encodeSafetensors(content as Record<string, Tensor>) : JSON.stringify(content);
    await writeFile(join(folder, name), data);
  }
  return folder;
}

const config = {
  peft_type: "LORA",
  r: 4,
  lora_alpha: 16,
  bias: "none",
  target_modules: ["to_q"],
  inference_mode: true,
};
const peftFiles = (members: object = {}) => ({
  "adapter_model.safetensors": inPeft(halves),
  "adapter_config.json": { ...config, ...members },
});

const scalesOf = async (path: string) => [...new Set((await readLora(disk, path)).layers.map(({ scale }) => scale))];

describe("alpha in the configuration alone", () => {
  const settings = {
    width: 64,
    height: 64,
    numFrames: 2,
    numInferenceSteps: 1,
    seed: 1,
    outputType: "floats",
  } as const;

  async function framesWith(lora: LoraSource): Promise<{ frames: Float32Array; assumptions: readonly string[] }> {
    await using pipeline = await StableVideoDiffusionPipeline.fromPretrained(checkpoint, { loras: [lora], threads: 1 });
    const { frames } = await pipeline.generate(await loadImage(picture), settings);
    return { frames: frames[0]!.data, assumptions: pipeline.checkpoint.assumptions ?? [] };
  }

  it("makes the very frames that alpha among the tensors makes", { timeout: 60_000 }, async () => {
    const folder = await folderWith(peftFiles());
    const single = await folderWith({ "kohya.safetensors": withAlpha(inKohya(halves), 16) });
    const expected = await framesWith({ path: join(single, "kohya.safetensors"), strength: 0.5 });
    const bytes = await readFile(join(folder, "adapter_model.safetensors"));
    expect(await framesWith({ path: folder, strength: 0.5 })).toEqual(expected);
    expect(await framesWith({ bytes, config: JSON.stringify(config), strength: 0.5 })).toEqual(expected);
    expect(expected.assumptions).toEqual([]);

    const unsaid = await framesWith({ bytes, name: "pan.safetensors", strength: 0.5 });
    expect(unsaid.frames).not.toEqual(expected.frames);
    expect(unsaid.assumptions).toEqual([expect.stringMatching(/^pan\.safetensors: no alpha is given.*with scale 1/)]);
  });

  it("makes the very products that alpha among the tensors makes", async () => {
    const folder = await folderWith({ ...peftFiles(), "adapter_model.safetensors": inPeft(halves) });
    const bytes = await readFile(join(folder, "adapter_model.safetensors"));
    const sources: LoraSource[] = [
      { path: folder },
      { path: join(folder, "adapter_model.safetensors") },
      { bytes, config },
      { bytes: encodeSafetensors(withAlpha(halves, 16)) },
    ];
    const layers = (await readLoras(sources, disk)).map(({ lora }) => lora.layers);
    expect(layers[0]![0]!.scale).toBe(4);
    for (const each of layers) expect(each).toEqual(layers[0]);
  });

  it.each<[string, object, number]>([
    ["alpha by rank", {}, 4],
    ["alpha by the root of the rank", { use_rslora: true }, 8],
    ["that of a pattern", { alpha_pattern: { ".*": 2 } }, 0.5],
    ["that of its rank's pattern", { r: 64, rank_pattern: { ".*": 4 } }, 4],
    ["PEFT's default", { lora_alpha: undefined }, 2],
    [
      "whatever is about training",
      { lora_dropout: 0.1, task_type: null, init_lora_weights: "eva", layers_to_transform: [1] },
      4,
    ],
    [
      "what PEFT writes of kinds that it does not use",
      { use_dora: false, modules_to_save: null, loftq_config: {}, megatron_core: "megatron.core" },
      4,
    ],
  ])("is %s", async (_, members, expected) => {
    expect(await scalesOf(await folderWith(peftFiles(members)))).toEqual([expected]);
  });

  it.each<[object, string]>([
    [{ peft_type: "LOHA" }, "is of the kind LOHA; only plain LoRAs are read"],
    [{ peft_type: "LOKR" }, "is of the kind LOKR"],
    [{ peft_type: "OFT" }, "is of the kind OFT"],
    [{ peft_type: "ADALORA" }, "is of the kind ADALORA"],
    [{ use_dora: true }, "is a DoRA (use_dora)"],
    [{ use_qalora: true }, "is a QALoRA (use_qalora)"],
    [{ use_newlora: true }, "has use_newlora, which is not known"],
    [{ lora_bias: true }, "is a LoRA with biases (lora_bias)"],
    [{ bias: "all" }, "is a LoRA with biases (bias is all)"],
    [{ bias: "lora_only" }, "is a LoRA with biases (bias is lora_only)"],
    [{ modules_to_save: ["conv_in"] }, "is a LoRA with whole layers beside it (modules_to_save)"],
    [{ fan_in_fan_out: true }, "is for weights that lie by inputs (fan_in_fan_out)"],
    [{ trainable_token_indices: [0] }, "is a LoRA with tokens beside it (trainable_token_indices)"],
    [{ megatron_config: { hidden_size: 8 } }, "is for Megatron's layers (megatron_config)"],
    [{ layer_replication: [[0, 4]] }, "is for a network with layers repeated (layer_replication)"],
    [{ target_parameters: ["a.weight"] }, "is a LoRA of single parameters (target_parameters)"],
    [{ arrow_config: { top_k: 3 } }, "is for Arrow's routing among several LoRAs (arrow_config)"],
    [{ init_lora_weights: "pissa" }, "was trained on weights that its start, pissa, had changed"],
    [{ init_lora_weights: "pissa_niter_16" }, "was trained on weights that its start, pissa_niter_16, had changed"],
    [{ init_lora_weights: "olora" }, "was trained on weights that its start, olora, had changed"],
    [{ init_lora_weights: "corda" }, "was trained on weights that its start, corda, had changed"],
    [{ init_lora_weights: "loftq" }, "was trained on weights that its start, loftq, had changed"],
    [{ init_lora_weights: "later" }, "has init_lora_weights later, which is not known"],
    [{ r: 8 }, "the rank 8, its tensors have 4: does it belong to this LoRA?"],
    [{ r: 0 }, "gives the rank 0, expected a whole number above 0"],
    [{ lora_alpha: "16" }, "gives the alpha 16, expected a number"],
    [{ use_rslora: "yes" }, "gives use_rslora as yes, expected true or false"],
    [{ alpha_pattern: [1] }, "gives alpha_pattern as [1]"],
    [
      { rank_pattern: { "(?i)to_q": 4 } },
      "rank_pattern has the regular expression (?i)to_q; layer paths and simple expressions are read",
    ],
  ])("is refused of %j", async (members, message) => {
    const folder = await folderWith(peftFiles(members));
    const read = readLora(disk, folder);
    await expect(read).rejects.toThrow(join(folder, "adapter_config.json"));
    await expect(read).rejects.toThrow(message);
    const bytes = await readFile(join(folder, "adapter_model.safetensors"));
    await expect(readLoras([{ bytes, config: { ...config, ...members } }], disk)).rejects.toThrow(message);
  });

  it("is held against what the file's own metadata say", async () => {
    const bytes = encodeSafetensors(inPeft(halves), { lora_alpha: "8" });
    const folder = await folderWith(peftFiles());
    await writeFile(join(folder, "adapter_model.safetensors"), bytes);
    await expect(readLora(disk, folder)).rejects.toThrow(
      /adapter_config\.json says 16, .*: its metadata says 8; which one holds\?/,
    );
  });
});

describe("a folder", () => {
  it("that diffusers wrote is read", async () => {
    const folder = await scratchFolder();
    await cp(join(golden, "diffusers.safetensors"), join(folder, "pytorch_lora_weights.safetensors"));
    const { name, layers } = await readLora(disk, folder);
    expect([name, layers]).toEqual([
      join(folder, "pytorch_lora_weights.safetensors"),
      (await readLora(disk, join(golden, "diffusers.safetensors"))).layers,
    ]);
  });

  it("with one file of any name is that file, and gives it its configuration", async () => {
    const { "adapter_model.safetensors": tensors, ...beside } = peftFiles();
    const folder = await folderWith({ "pan.safetensors": tensors, ...beside });
    expect(await scalesOf(folder)).toEqual([4]);
    expect(await scalesOf(join(folder, "pan.safetensors"))).toEqual([4]);
    // Beside another one it may be the other's.
    await cp(join(folder, "pan.safetensors"), join(folder, "tilt.safetensors"));
    expect(await scalesOf(join(folder, "pan.safetensors"))).toEqual([1]);
  });

  it.each<[string, Record<string, object>, RegExp]>([
    [
      "several files",
      { "a.safetensors": {}, "b.safetensors": {} },
      /holds 2 files that may be the LoRA: a\.safetensors, b\.safetensors; give the file itself/,
    ],
    [
      "both usual files",
      { "adapter_model.safetensors": {}, "pytorch_lora_weights.safetensors": {} },
      /holds 2 files that may be the LoRA/,
    ],
    [
      "a pickle",
      { "adapter_model.bin": {}, "adapter_config.json": config },
      /adapter_model\.bin: pickle weights \(\.bin, \.ckpt, \.pt\) are not read/,
    ],
    [
      "nothing",
      {},
      /holds no LoRA, expected adapter_model\.safetensors or pytorch_lora_weights\.safetensors; it is empty/,
    ],
    ["something else", { "notes.json": {} }, /holds no LoRA, .*; it has notes\.json/],
    ["a checkpoint", { "model_index.json": {} }, /is a checkpoint's folder, not a LoRA's: give it as the model/],
  ])("with %s is refused", async (_, files, message) => {
    await expect(readLora(disk, await folderWith(files))).rejects.toThrow(message);
  });

  it("cannot be given by its configuration, which is said to be JSON", async () => {
    const path = join(await folderWith(peftFiles()), "adapter_config.json");
    await expect(readLora(disk, path)).rejects.toThrow(`${path}: is a JSON file, expected a .safetensors file`);
  });

  it("above that of the LoRA is told which one to give", async () => {
    const folder = await scratchFolder();
    await mkdir(join(folder, "checkpoint-500"));
    await cp(peftFolder, join(folder, "checkpoint-500"), { recursive: true });
    await expect(readLora(disk, folder)).rejects.toThrow(
      `holds no LoRA, but ${join(folder, "checkpoint-500")} does: give that one`,
    );
  });
});

it.each<[object, string]>([
  [
    { path: peftFolder, config },
    "loras[0] has a path and a config, expected the text or the object of adapter_config.json",
  ],
  [{ bytes: new Uint8Array(), config: 3 }, "loras[0] has the config 3"],
  [
    { bytes: new Uint8Array(), name: "a", config: "[" },
    'a: its config: cannot be read at line 1, column 1: expected "{"',
  ],
])("a source like %j is refused", async (lora, message) => {
  await expect(readLoras([lora as LoraSource], disk)).rejects.toThrow(message);
});

describe("the command", () => {
  it("takes the folder and a strength, and says where no alpha is given", async () => {
    const folder = await folderWith({ "adapter_model.safetensors": inPeft(halves) });
    const output = join(await scratchFolder(), "clip.webp");
    const run = (lora: string) => stillmotionHere(["generate", picture, "-o", output, ...small, "--lora", lora]);
    const said = "no alpha is given, neither by its tensors nor by a configuration; strength 1 adds it with scale 1";
    expect(await run(`${folder}:0.5`)).toMatchObject({ code: 0, stderr: expect.stringContaining(said) });
    expect((await run(peftFolder)).stderr).not.toContain("alpha");
  });

  it.skipIf(process.platform === "win32")("takes a path that exists as it is, whatever follows its colon", async () => {
    const folder = join(await scratchFolder(), "peft-12:30");
    await cp(peftFolder, folder, { recursive: true });
    const output = join(await scratchFolder(), "clip.webp");
    const run = (lora: string) => stillmotionHere(["generate", picture, "-o", output, ...small, "--lora", lora]);
    expect(await run(folder)).toMatchObject({ code: 0 });
    expect((await readClipMetadata(output)).settings?.loras).toEqual(["peft-12:30:1"]);
  });

  it("inspects the folder, with alpha and scale", async () => {
    const { code, stdout } = await stillmotionHere(["inspect", await folderWith(peftFiles())]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/adapter_model\.safetensors: LoRA for Stable Video Diffusion, to give with --lora/);
    expect(stdout).toContain("added at strength 1 with scale 4 (alpha 16)\n");
    const json = JSON.parse((await stillmotionHere(["inspect", join(golden, "kohya.safetensors"), "--json"])).stdout);
    expect(json).toMatchObject({
      kind: "lora",
      alphas: [1.5],
      scales: [0.375, 0.5, 0.75, 1],
      assumptions: [expect.stringMatching(/no alpha is given.* \(4 of its 17 layers\)$/)],
      problems: [],
    });
  });

  it("inspects what cannot be used", async () => {
    const loha = await folderWith({ ...peftFiles({ peft_type: "LOHA" }), "adapter_model.safetensors": {} });
    const { code, stdout } = await stillmotionHere(["inspect", loha]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringContaining("is of the kind LOHA") });
  });
});
