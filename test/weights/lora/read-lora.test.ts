/**
 * Is every form of LoRA understood, and is every other file refused in words that help?
 *
 * Golden: python -m reference.golden lora (reference/golden/lora.py), diffusers 0.42.1
 */
import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { disk } from "../../../src/node/files/disk.ts";
import { readSafetensorsHeader } from "../../../src/node/weights.ts";
import { loraFromText } from "../../../src/options/loras.ts";
import { elementCount, type Tensor } from "../../../src/tensor.ts";
import { describeLora } from "../../../src/weights/lora/describe-lora.ts";
import { parseLora } from "../../../src/weights/lora/parse-lora.ts";
import { withLoras } from "../../../src/weights/lora/place-lora.ts";
import { readLora } from "../../../src/weights/lora/read-lora.ts";
import { encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import type { Component, WeightEntry } from "../../../src/weights/types.ts";
import { rows } from "../../../src/weights/view.ts";

const golden = resolve(import.meta.dirname, "golden");
const attention = "down_blocks.0.attentions.0.transformer_blocks.0.attn1";

const unet: Component = {
  name: "unet",
  config: {},
  weightsFolder: "/nowhere",
  tensors: new Map(
    Object.entries({
      [`${attention}.to_q.weight`]: [8, 6],
      [`${attention}.to_out.0.weight`]: [8, 6],
      "conv_in.weight": [8, 6, 3, 3],
      "conv_in.bias": [8],
      "norm.weight": [8],
      "proj_in.weight": [8, 6],
    }).map(([name, shape]): [string, WeightEntry] => {
      const sizeBytes = 4 * elementCount(shape);
      return [name, { name, dtype: "float32", shape, file: "a.safetensors", offset: 0, sizeBytes }];
    }),
  ),
};

function tensor(shape: readonly number[], value = 1): Tensor {
  return { dtype: "float32", shape, data: new Float32Array(elementCount(shape)).fill(value) };
}

/** The two halves for a weight (8, 6) under these names. */
function pair(down: string, up: string, rank = 2): Record<string, Tensor> {
  return { [down]: tensor([rank, 6]), [up]: tensor([8, rank]) };
}

function parse(tensors: Record<string, Tensor>, metadata: Record<string, string> = {}) {
  return parseLora(encodeSafetensors(tensors, metadata), "a.safetensors");
}

function place(tensors: Record<string, Tensor>, metadata: Record<string, string> = {}): Component {
  return withLoras(unet, [{ lora: parse(tensors, metadata), strength: 1 }]);
}

describe("names", () => {
  it.each([
    [`unet.${attention}.to_q.lora_A.weight`, `unet.${attention}.to_q.lora_B.weight`],
    [`${attention}.to_q.lora_A.weight`, `${attention}.to_q.lora_B.weight`],
    [
      `base_model.model.${attention}.to_q.lora_A.default.weight`,
      `base_model.model.${attention}.to_q.lora_B.default.weight`,
    ],
    [`base_model.model.unet.${attention}.to_q.lora_A.weight`, `base_model.model.unet.${attention}.to_q.lora_B.weight`],
    [`unet.${attention}.to_q.lora.down.weight`, `unet.${attention}.to_q.lora.up.weight`],
    [`${attention}.to_q.lora_down.weight`, `${attention}.to_q.lora_up.weight`],
    [`${attention}.processor.to_q_lora.down.weight`, `${attention}.processor.to_q_lora.up.weight`],
    [`unet.${attention}.to_q_lora.down.weight`, `unet.${attention}.to_q_lora.up.weight`],
    [
      `lora_unet_${attention.replaceAll(".", "_")}_to_q.lora_down.weight`,
      `lora_unet_${attention.replaceAll(".", "_")}_to_q.lora_up.weight`,
    ],
  ])("%s", (down, up) => {
    const [changed] = [...place(pair(down, up)).tensors.values()].filter(({ additions }) => additions);
    expect(changed).toMatchObject({ name: `${attention}.to_q.weight`, additions: [{ scale: 1 }] });
  });

  const [down, up] = [`${attention}.to_q.lora_A.weight`, `${attention}.to_q.lora_B.weight`];
  const underscored = `${attention.replaceAll(".", "_")}_to_q`;

  it.each([
    "_orig_mod.",
    "module.",
    "module._orig_mod.",
    "module.module.",
    "_orig_mod.module.unet.",
    "unet._orig_mod.",
    "unet.base_model.model.",
    "base_model.model._orig_mod.",
    "base_model.model.module.",
    "_orig_mod.base_model.model.unet.",
    "diffusion_model.",
    "model.diffusion_model.",
    "module.model.diffusion_model._orig_mod.",
    "_fsdp_wrapped_module.",
    "model.",
    "model.unet.",
    "module.model.module.unet._orig_mod.",
    "base_model.model.model.unet.",
  ])("with %s before them", (prefix) => {
    const { tensors } = place(pair(prefix + down, prefix + up));
    expect(tensors.get(`${attention}.to_q.weight`)!.additions).toHaveLength(1);
  });

  it.each([
    [down.replace("attentions.0.", "attentions.0._orig_mod."), up.replace("attentions.0.", "attentions.0._orig_mod.")],
    [down.replace("attn1.", "attn1._orig_mod._fsdp_wrapped_module."), up],
    [down.replace("to_q.", "to_q._orig_mod."), up.replace("to_q.", "to_q._orig_mod.")],
    [`_orig_mod.lora_unet_${underscored}.lora_down.weight`, `_orig_mod.lora_unet_${underscored}.lora_up.weight`],
    [
      `lora_unet__orig_mod_${underscored}.lora_down.weight`,
      `lora_unet_${underscored.replace("_to_q", "__orig_mod_to_q")}.lora_up.weight`,
    ],
  ])("with a wrapper's step inside: %s", (downName, upName) => {
    const { tensors } = place(pair(downName, upName));
    expect(tensors.get(`${attention}.to_q.weight`)!.additions).toHaveLength(1);
  });

  it("that begin with diffusion_model are a diffusion transformer's where the path is", () => {
    const key = "diffusion_model.blocks.0.attn.to_q";
    expect(() => place(pair(`${key}.lora_A.weight`, `${key}.lora_B.weight`))).toThrow(
      'changes 1 layer of 1 in "diffusion_model"',
    );
  });

  it("to_out of attention processors is to_out.0", () => {
    const key = `${attention}.processor.to_out_lora`;
    const { tensors } = place(pair(`${key}.down.weight`, `${key}.up.weight`));
    expect(tensors.get(`${attention}.to_out.0.weight`)!.additions).toHaveLength(1);
  });
});

describe("scale", () => {
  const key = `${attention}.to_q`;
  const halves = pair(`${key}.lora_A.weight`, `${key}.lora_B.weight`, 4);
  const scaleWith = (tensors: Record<string, Tensor>, metadata?: object) =>
    parse({ ...halves, ...tensors }, metadata ? { lora_adapter_metadata: JSON.stringify(metadata) } : {}).layers[0]!
      .scale;

  it.each([
    ["1 without alpha", {}, undefined, 1],
    ["alpha by rank", { [`${key}.alpha`]: tensor([], 2) }, undefined, 0.5],
    [
      "an alpha in half precision",
      { [`${key}.alpha`]: { dtype: "float16", shape: [1], data: Uint16Array.of(0x4800) } as Tensor },
      undefined,
      2,
    ],
    ["alpha in the metadata", {}, { r: 4, lora_alpha: 6 }, 1.5],
    ["under the network's name", {}, { "unet.lora_alpha": 6 }, 1.5],
    ["an alpha of this layer's own", {}, { lora_alpha: 6, alpha_pattern: { "attn1.to_q": 10 } }, 2.5],
    ["not that of another layer", {}, { lora_alpha: 6, alpha_pattern: { "1.to_q": 10 } }, 1.5],
    ["rank-stabilised", {}, { lora_alpha: 6, use_rslora: true }, 3],
    ["the tensor before the metadata", { [`${key}.alpha`]: tensor([], 2) }, { lora_alpha: 6 }, 0.5],
  ] as const)("%s", (_, tensors, metadata, expected) => {
    expect(scaleWith(tensors, metadata)).toBe(expected);
  });

  const scaleInMetadata = (metadata: Record<string, string>) => parse(halves, metadata).layers[0]!.scale;
  const json = JSON.stringify;

  it.each<[string, Record<string, string>, number]>([
    ["lora_alpha", { lora_alpha: "16", r: "4" }, 4],
    ["lora_alpha under the network's name", { "unet.lora_alpha": "6.0", "unet.r": "4" }, 1.5],
    ["lora_alpha with the root of the rank", { lora_alpha: "16", use_rslora: "True" }, 8],
    ["lora_alpha with patterns", { lora_alpha: "16", alpha_pattern: json({ to_q: 2 }) }, 0.5],
    [
      "lora_alpha with the rest as Python's str() has it",
      {
        lora_alpha: "16",
        peft_type: "PeftType.LORA",
        rank_pattern: "{}",
        alpha_pattern: "{'.*\\\\.to_q': 2, 'x': 3.5}",
      },
      0.5,
    ],
    ["network_alpha", { network_alpha: "8", network_dim: "4" }, 2],
    ["alpha", { alpha: "2", rank: "4" }, 0.5],
    ["kohya's", { ss_network_alpha: "8.0", ss_network_dim: "4" }, 2],
    [
      "kohya's of another kernel",
      { ss_network_alpha: "8", ss_network_args: json({ conv_dim: "2", conv_alpha: "1" }) },
      2,
    ],
    ["kohya's, not used", { ss_network_alpha: "None", ss_network_dim: "None" }, 1],
    ["what is about something else", { use_8bit_adam: "True", r: "16", rank: "64", base_model: "svd" }, 1],
    ["several places that agree", { lora_alpha: "16", lora_adapter_metadata: json({ r: 4, lora_alpha: 16 }) }, 4],
    [
      "a pattern before another place's number",
      { lora_alpha: "16", lora_adapter_metadata: json({ alpha_pattern: { to_q: 2 } }) },
      0.5,
    ],
    ["PEFT's own number where its configuration has none", { lora_adapter_metadata: json({ r: 4 }) }, 2],
  ])("in the metadata: %s", (_, metadata, expected) => {
    expect(scaleInMetadata(metadata)).toBe(expected);
  });

  it("of a kernel in kohya's metadata is conv_alpha by conv_dim", () => {
    const metadata = {
      ss_network_alpha: "8",
      ss_network_dim: "4",
      ss_network_args: json({ conv_dim: "2", conv_alpha: "1" }),
    };
    const tensors = {
      "conv_in.lora_down.weight": tensor([2, 6, 3, 3]),
      "conv_in.lora_up.weight": tensor([8, 2, 1, 1]),
    };
    expect(parse(tensors, metadata).layers[0]!.scale).toBe(0.5);
    const { ss_network_args: _, ...unsaid } = metadata;
    expect(() => parse(tensors, unsaid)).toThrow("gives conv_in the rank 4, its tensors have 2");
  });

  it.each<[string, Record<string, string>, string]>([
    [
      "two alphas",
      { lora_alpha: "16", ss_network_alpha: "8" },
      `its metadata says 16, a.safetensors: its metadata ss_network_alpha says 8`,
    ],
    [
      "another rank",
      { lora_adapter_metadata: json({ r: 8, lora_alpha: 16 }) },
      `gives ${key} the rank 8, its tensors have 4: does it belong to this LoRA?`,
    ],
    [
      "another rank by a pattern",
      { lora_adapter_metadata: json({ r: 4, rank_pattern: { to_q: 2 } }) },
      `gives ${key} the rank 2`,
    ],
    ["no number", { lora_alpha: "sixteen" }, "a.safetensors: its metadata: gives the alpha sixteen, expected a number"],
    ["no rank", { lora_adapter_metadata: json({ r: 1.5 }) }, "gives the rank 1.5, expected a whole number above 0"],
    ["another kind", { lora_alpha: "16", use_dora: "true" }, "is a DoRA (use_dora)"],
  ])("is refused where the metadata have %s", (_, metadata, message) => {
    expect(() => scaleInMetadata(metadata)).toThrow(message);
  });

  it("an alpha may be a float64, as NumPy makes it", () => {
    const alpha: Tensor = { dtype: "int64", shape: [], data: new BigInt64Array(Float64Array.of(2.5).buffer) };
    const bytes = encodeSafetensors({ ...halves, [`${key}.alpha`]: alpha });
    const start = Buffer.from(bytes.buffer).indexOf('"I64"');
    bytes.set(new TextEncoder().encode('"F64"'), start);
    expect(parseLora(bytes, "a.safetensors").layers[0]!.scale).toBe(2.5 / 4);
  });

  it("a rank that a pattern explains is no contradiction", () => {
    const config = { r: 8, lora_alpha: 16, rank_pattern: { "attn1.to_q": 4 } };
    expect(scaleInMetadata({ lora_adapter_metadata: json(config) })).toBe(4);
  });

  it("patterns see the path as PEFT did, or as it is without wrappers", () => {
    const scaleOf = (pattern: string) => {
      const path = `unet._orig_mod.${key}`;
      const tensors = pair(`base_model.model.${path}.lora_A.weight`, `base_model.model.${path}.lora_B.weight`, 4);
      const metadata = { lora_adapter_metadata: json({ lora_alpha: 4, alpha_pattern: { [pattern]: 8 } }) };
      return parse(tensors, metadata).layers[0]!.scale;
    };
    expect([`^${key}`, `^unet._orig_mod.${key}`, "to_q", "^to_q"].map(scaleOf)).toEqual([2, 2, 2, 1]);
  });

  it("a pattern that is a number is refused where its order decides, which JavaScript does not keep", () => {
    const scaleOf = (patterns: string) => {
      const path = `${key}.to_out.0`;
      const tensors = pair(`${path}.lora_A.weight`, `${path}.lora_B.weight`, 4);
      return parse(tensors, { lora_adapter_metadata: `{"lora_alpha": 4, "alpha_pattern": ${patterns}}` }).layers[0]!
        .scale;
    };
    expect(() => scaleOf('{"to_out.0": 32, "0": 64}')).toThrow(
      `0 and to_out.0 of alpha_pattern fit ${key}.to_out.0, and the order of a number is not known`,
    );
    expect(scaleOf('{"to_out.0": 64, "0": 64}')).toBe(16);
    expect(scaleOf('{"to_q": 32, "0": 64, "1": 128}')).toBe(16);
  });

  it("paths in patterns are refused for layers whose paths are not known", () => {
    const name = "lora_unet_proj_in";
    const tensors = pair(`${name}.lora_down.weight`, `${name}.lora_up.weight`);
    const metadata = { lora_adapter_metadata: json({ lora_alpha: 4, alpha_pattern: { proj_in: 8 } }) };
    expect(() => parse(tensors, metadata)).toThrow("has the paths of alpha_pattern, while the layers have underscores");
    const withAlpha = { ...tensors, [`${name}.alpha`]: tensor([], 4) };
    expect(parse(withAlpha, metadata).layers[0]!.scale).toBe(2);
  });

  it("is told where it was assumed", () => {
    const assumed = (tensors: Record<string, Tensor>, metadata?: Record<string, string>) =>
      parse({ ...halves, ...tensors }, metadata).assumptions;
    const none =
      "a.safetensors: no alpha is given, neither by its tensors nor by a configuration; strength 1 adds it with scale 1, as if alpha were the rank";
    const alpha = { [`${key}.alpha`]: tensor([], 2) };
    expect(assumed({})).toEqual([none]);
    expect(assumed(alpha)).toEqual([]);
    expect(assumed({ ...alpha, ...pair("proj_in.lora_A.weight", "proj_in.lora_B.weight") })).toEqual([
      `${none} (1 of its 2 layers)`,
    ]);
    expect(assumed({}, { lora_alpha: "4" })).toEqual([]);
    expect(assumed({}, { lora_adapter_metadata: "{}" })).toEqual([
      "a.safetensors: no lora_alpha is given in a.safetensors: its metadata lora_adapter_metadata: 8 is taken, as PEFT does",
    ]);
    expect(assumed(alpha, { lora_alpha: "16" })).toEqual([
      "a.safetensors: alpha is taken from the file's own tensors, not the 16 of a.safetensors: its metadata",
    ]);
  });

  it("strengths multiply it, and each LoRA adds its own", () => {
    const lora = parse({ ...halves, [`${key}.alpha`]: tensor([], 2) });
    const { tensors } = withLoras(unet, [
      { lora, strength: 0.5 },
      { lora, strength: 0 },
      { lora, strength: -2 },
    ]);
    expect(tensors.get(`${key}.weight`)!.additions!.map(({ scale }) => scale)).toEqual([0.25, -1]);
  });
});

it("rows of a weight take the same rows of the product", () => {
  const key = `${attention}.to_q`;
  const up = { ...tensor([8, 2]), data: Float32Array.from({ length: 16 }, (_, index) => index) };
  const { tensors } = place({ [`${key}.lora_A.weight`]: tensor([2, 6]), [`${key}.lora_B.weight`]: up });
  const [product] = rows(tensors.get(`${key}.weight`)!, 2, 4).additions!;
  expect(product!.up).toEqual({ dtype: "float32", shape: [2, 2], data: Float32Array.of(4, 5, 6, 7) });
});

it("a 1x1 convolution's halves fit a linear layer", () => {
  const { tensors } = place({
    "proj_in.lora_A.weight": tensor([2, 6, 1, 1]),
    "proj_in.lora_B.weight": tensor([8, 2, 1, 1]),
  });
  expect(tensors.get("proj_in.weight")!.additions).toHaveLength(1);
});

describe("what does not fit", () => {
  const toQ = `${attention}.to_q`;
  const good = pair(`${toQ}.lora_A.weight`, `${toQ}.lora_B.weight`);
  const numbered = (count: number, name: (index: number) => string) =>
    Object.assign(
      {},
      ...Array.from({ length: count }, (_, index) =>
        pair(`${name(index)}.lora_A.weight`, `${name(index)}.lora_B.weight`),
      ),
    );
  const sdxl = {
    "down_blocks.1.attn2.to_k.lora_A.weight": tensor([2, 2048]),
    "down_blocks.1.attn2.to_k.lora_B.weight": tensor([8, 2]),
  };

  it.each<[string, Record<string, Tensor>, RegExp | string]>([
    [
      "layers without a place, counted",
      { ...good, ...numbered(7, (i) => `up_blocks.${i}.x`) },
      /^a.safetensors: 7 of 8 layers have no place in the unet: up_blocks.0.x, up_blocks.1.x, up_blocks.2.x, up_blocks.3.x, up_blocks.4.x and 2 more; is it a LoRA for this checkpoint\?$/,
    ],
    [
      "another model's layers",
      sdxl,
      "1 of 1 layers have no place in the unet: down_blocks.1.attn2.to_k; it looks like a LoRA for Stable Diffusion XL",
    ],
    [
      "a transformer's layers",
      numbered(1, () => "transformer.transformer_blocks.0.attn.to_q"),
      /changes 1 layer of 1 in "transformer", only the unet's can be changed: .*; it looks like a LoRA for a diffusion transformer/,
    ],
    [
      "a text encoder's layers",
      { ...good, ...pair("lora_te_text_model_q_proj.lora_down.weight", "lora_te_text_model_q_proj.lora_up.weight") },
      /changes 1 layer of 2 in a text encoder, which Stable Video Diffusion does not have/,
    ],
    [
      "another width",
      { "proj_in.lora_A.weight": tensor([2, 5]), "proj_in.lora_B.weight": tensor([8, 2]) },
      "proj_in changes a weight of shape [8, 5], expected [8, 6]",
    ],
    [
      "a kernel where there is none",
      { "proj_in.lora_A.weight": tensor([2, 6, 3, 3]), "proj_in.lora_B.weight": tensor([8, 2, 1, 1]) },
      "proj_in changes a weight of shape [8, 6, 3, 3], expected [8, 6]",
    ],
    ["a norm", pair("norm.lora_A.weight", "norm.lora_B.weight"), "norm changes a weight of shape [8, 6], expected [8]"],
    [
      "two ranks in one layer",
      { "proj_in.lora_A.weight": tensor([3, 6]), "proj_in.lora_B.weight": tensor([8, 2]) },
      "has proj_in.lora_A.weight of shape [3, 6] and proj_in.lora_B.weight of shape [8, 2], expected (rank, inputs, ...) and (outputs, rank)",
    ],
    ["rank 0", { "proj_in.lora_A.weight": tensor([0, 6]), "proj_in.lora_B.weight": tensor([8, 0]) }, "of rank 0"],
    [
      "half a pair",
      { ...good, "conv_in.lora_A.weight": tensor([2, 6, 3, 3]) },
      "holds conv_in.lora_A.weight without the layer's half after the rank (lora_B, lora_up): is the file complete?",
    ],
    ["an alpha alone", { ...good, "conv_in.alpha": tensor([]) }, "holds conv_in.alpha without the layer's half"],
    ["an alpha that is no number", { ...good, [`${toQ}.alpha`]: tensor([], Number.NaN) }, `${toQ} has the alpha NaN`],
    [
      "tensors of another kind",
      { ...good, "conv_in.bias": tensor([8]) },
      "holds 1 tensor that a LoRA does not have: conv_in.bias",
    ],
    [
      "one layer in two spellings",
      { ...good, ...pair(`unet.${toQ}.lora.down.weight`, `unet.${toQ}.lora.up.weight`) },
      "are the same part of one layer",
    ],
    [
      "a whole checkpoint",
      { "model.diffusion_model.input_blocks.0.0.weight": tensor([1]) },
      "is a whole checkpoint in a single file, not a LoRA",
    ],
    ["a file of something else", { frames: tensor([2, 2, 2, 3]) }, "is no LoRA: it holds 1 tensor, such as frames"],
    ["DoRA", { ...good, [`${toQ}.lora_magnitude_vector`]: tensor([8]) }, "is DoRA, by its tensor"],
    ["LoHa", { "lora_unet_proj_in.hada_w1_a": tensor([8, 2]) }, "is LoHa, by its tensor"],
  ])("%s", (_, tensors, message) => {
    expect(() => place(tensors)).toThrow(message);
  });

  it("broken metadata", () => {
    const withMetadata = (text: string) => place(good, { lora_adapter_metadata: text });
    expect(() => withMetadata("[")).toThrow(
      'its metadata lora_adapter_metadata: cannot be read at line 1, column 1: expected "{" but found "["',
    );
    expect(() => withMetadata('{"lora_alpha":"6"}')).toThrow("gives the alpha 6");
    expect(() => withMetadata('{"alpha_pattern":{"(a+)+b":1}}')).toThrow("has the regular expression (a+)+b");
    expect(() => withMetadata('{"use_dora":true}')).toThrow("is a DoRA");
  });

  it("a network's own weights", async () => {
    const weightsOf = (name: string) => resolve("test/checkpoints/two-levels-fp32", name);
    await expect(readLora(disk, weightsOf("unet/diffusion_pytorch_model.safetensors"))).rejects.toMatchObject({
      message: expect.stringMatching(/: is a UNet's own weights, not a LoRA: give it with unet$/),
      option: "unet",
    });
    for (const name of ["vae/diffusion_pytorch_model.safetensors", "image_encoder/model.safetensors"]) {
      await expect(readLora(disk, weightsOf(name))).rejects.toThrow(
        "is a network's own weights, not a LoRA: give the checkpoint's folder",
      );
    }
  });

  it("more than a graph holds, before it is read", async () => {
    const folder = await mkdtemp(join(tmpdir(), "stillmotion-lora-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, "large.safetensors");
    const header = JSON.stringify({
      "conv_in.lora_A.weight": { dtype: "F32", shape: [1, 200_000_000], data_offsets: [0, 8e8] },
      "conv_in.lora_B.weight": { dtype: "F32", shape: [100_000_000, 1], data_offsets: [8e8, 12e8] },
    });
    const start = Buffer.alloc(8);
    start.writeBigUInt64LE(BigInt(header.length));
    await writeFile(path, Buffer.concat([start, Buffer.from(header)]));
    await truncate(path, 8 + header.length + 12e8); // a hole, no bytes on disk
    await expect(readLora(disk, path)).rejects.toThrow("1.2 GB of low-rank matrices; at most 1 GB in all");
  });
});

it("a damaged file is an error of its own, never another", async () => {
  const bytes = await readFile(join(golden, "diffusers.safetensors"));
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const flip = fc.tuple(fc.integer({ min: 8, max: 8 + headerBytes - 1 }), fc.integer({ min: 32, max: 126 }));
  fc.assert(
    fc.property(fc.array(flip, { minLength: 1, maxLength: 3 }), (flips) => {
      const damaged = Uint8Array.from(bytes);
      for (const [at, value] of flips) damaged[at] = value;
      try {
        withLoras(unet, [{ lora: parseLora(damaged, "a.safetensors"), strength: 1 }]);
      } catch (error) {
        expect(error).toMatchObject({
          name: "StillmotionError",
          code: expect.stringMatching(/^(invalid-checkpoint|unsupported)$/),
        });
      }
    }),
    { numRuns: 500, seed: 5 },
  );
});

describe("a description", () => {
  const describe = async (path: string) => describeLora(await readSafetensorsHeader(path), path);

  it("says form, ranks and model", async () => {
    expect(await describe(join(golden, "kohya.safetensors"))).toEqual({
      spellings: ["kohya"],
      layers: 17,
      ranks: [2, 3, 4],
      dtypes: ["F16"],
      networks: ["unet"],
      looksLike: "Stable Video Diffusion",
      problem: undefined,
    });
  });

  it("is none for other files", async () => {
    expect(await describe(join(golden, "two-levels-fp32.kohya.safetensors"))).toBeUndefined();
  });
});

it("text names a path and perhaps a strength", () => {
  expect(loraFromText("a.safetensors")).toEqual({ path: "a.safetensors" });
  expect(loraFromText("a.safetensors:0.8")).toEqual({ path: "a.safetensors", strength: 0.8 });
  expect(loraFromText("a.safetensors:-1")).toEqual({ path: "a.safetensors", strength: -1 });
  expect(loraFromText("C:\\loras\\a.safetensors")).toEqual({ path: "C:\\loras\\a.safetensors" });
  expect(loraFromText("C:\\loras\\a.safetensors:.5")).toEqual({ path: "C:\\loras\\a.safetensors", strength: 0.5 });
  expect(loraFromText("C:a.safetensors")).toEqual({ path: "C:a.safetensors" });
  expect(loraFromText("12:30/a.safetensors")).toEqual({ path: "12:30/a.safetensors" });
  const exists = (path: string) => ["x:0.8", "lora-12:30"].includes(path);
  expect(loraFromText("x:0.8", exists)).toEqual({ path: "x:0.8" });
  expect(loraFromText("x:0.8:0.5", exists)).toEqual({ path: "x:0.8", strength: 0.5 });
  expect(loraFromText("lora-12:30", exists)).toEqual({ path: "lora-12:30" });
  expect(loraFromText("x:0.7", exists)).toEqual({ path: "x", strength: 0.7 });
  expect(loraFromText("lora-12:30.safetensors")).toEqual({ path: "lora-12:30.safetensors" });
  expect(() => loraFromText("a.safetensors:strong")).toThrow('the strength in "a.safetensors:strong" is "strong"');
  expect(() => loraFromText("a.safetensors:")).toThrow('is "", expected a number, as in a.safetensors:0.8');
});
