/** What does opening a single file say: of the checkpoint in it, or of what it is instead? */
import { mkdtemp, readFile, realpath, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StillmotionError } from "../../../src/errors.ts";
import { openCheckpoint, openUnetFile } from "../../../src/node/weights.ts";
import { replaceUnet } from "../../../src/weights/single-file/unet-file.ts";
import { networksOf } from "../../support/platform.ts";
import {
  diffusersTensors,
  mapped,
  readLayout,
  readStored,
  type Tensors,
  unetOfLevels,
  writeTensors,
} from "./layouts.ts";

let temporary: string;
beforeEach(async () => {
  temporary = await realpath(await mkdtemp(join(tmpdir(), "stillmotion-single-file-")));
});
afterEach(() => rm(temporary, { recursive: true }));

async function errorOf(run: () => Promise<unknown>): Promise<StillmotionError> {
  const error = await run().catch((cause: unknown) => cause);
  if (error instanceof StillmotionError) return error;
  throw error instanceof Error ? error : new Error("nothing was wrong");
}

const one = { dtype: "float32", shape: [1], data: new Float32Array(1) } as const;
const only = (...names: string[]): Tensors => Object.fromEntries(names.map((name) => [name, one]));
const write = (name: string, tensors: Tensors, metadata = {}) => writeTensors(join(temporary, name), tensors, metadata);

describe("a checkpoint in a single file", () => {
  it("has the configurations and the tensors of diffusers layout, in place", async () => {
    const stored = await readStored();
    const path = await write("svd_small.safetensors", stored);
    const bytes = await readFile(path);
    const checkpoint = await openCheckpoint(path);
    const layout = await readLayout();
    for (const [name, component] of [
      ["unet", checkpoint.unet],
      ["vae", checkpoint.vae],
      ["image_encoder", checkpoint.imageEncoder],
    ] as const) {
      const { _class_name, architectures, ...own } = component.config;
      expect(layout[name].config).toMatchObject(own);
      expect(component.weightsFolder).toBe(temporary);
      const tensors = diffusersTensors(stored, layout[name]);
      expect([...component.tensors.keys()].sort()).toEqual(Object.keys(tensors).sort());
      for (const [key, { shape, data }] of Object.entries(tensors)) {
        const entry = component.tensors.get(key)!;
        expect(entry, key).toMatchObject({ name: key, shape, dtype: "float16", file: basename(path) });
        const stretch = bytes.subarray(entry.offset, entry.offset + entry.sizeBytes);
        if (!entry.isTransposed) expect(stretch.equals(Buffer.from(data.buffer)), key).toBe(true);
      }
    }
    expect(checkpoint.modelIndex.vae).toEqual(["diffusers", "AutoencoderKLTemporalDecoder"]);
    expect(checkpoint.schedulerConfig).toMatchObject({ sigma_max: 700, use_karras_sigmas: true });
    expect(checkpoint.assumptions).toEqual([]);
  });

  it.each([
    ["svd.safetensors", {}, 14],
    ["svd_xt.safetensors", {}, 25],
    ["svd_xt_1_1.safetensors", {}, 25],
    ["svd_xt_image_decoder.safetensors", {}, 25],
    ["stable-video-diffusion-img2vid-xt-fp16.safetensors", {}, 25],
    ["mine.safetensors", { "modelspec.title": "SVD-XT, tuned" }, 25],
    ["mine.safetensors", {}, 14],
  ])("is made for as many frames as %s %j says", async (name, metadata, frames) => {
    const path = await write(name, await readStored(), metadata);
    const { unet, assumptions } = await openCheckpoint(path);
    expect(unet.config.num_frames).toBe(frames);
    const isGuess = name === "mine.safetensors" && !("modelspec.title" in metadata);
    expect(assumptions).toEqual(
      isGuess
        ? [`${path}: neither its name nor its metadata says how many frames it was trained on; 14 are assumed`]
        : [],
    );
  });

  it("may be a link to a file without an extension, as in the Hugging Face cache", async () => {
    await write("4f1c", await readStored());
    await symlink(join(temporary, "4f1c"), join(temporary, "svd_xt.safetensors"));
    const { unet } = await openCheckpoint(join(temporary, "svd_xt.safetensors"));
    expect(unet.tensors.get("conv_in.weight")!.file).toBe("4f1c");
    expect(unet.config.num_frames).toBe(25);
  });

  it("may keep its encoder in the autoencoder of the clip, and project with 1x1 convolutions", async () => {
    const stored = await readStored();
    const changed = Object.entries(stored)
      .filter(([name]) => !name.startsWith("first_stage_model.encoder."))
      .map(([name, tensor]) => [
        name.replace("conditioner.embedders.3.encoder.", "first_stage_model."),
        /\.proj_(in|out)\.weight$/.test(name) && tensor.shape.length === 2
          ? { ...tensor, shape: [...tensor.shape, 1, 1] }
          : tensor,
      ]);
    const shapes = async (path: string) => {
      const { unet, vae } = await openCheckpoint(path);
      return [unet, vae].map(({ tensors }) => [...tensors].map(([name, { shape }]) => [name, shape]).sort());
    };
    const path = await write("svd.safetensors", Object.fromEntries(changed));
    expect(await shapes(path)).toEqual(await shapes(await write("svd_usual.safetensors", stored)));
  });

  it("is refused with a short message for a hostile name", async () => {
    const name = `model.diffusion_model.input_blocks.0.0${".a".repeat(500)}`;
    const path = await write("svd.safetensors", { ...(await readStored()), [name]: one });
    const { message } = await errorOf(async () => readNetworksOf(await openCheckpoint(path)));
    expect(message.length).toBeLessThan(400);
    expect(message).toContain("have no place in the network");
  });

  it("has 16 levels at most", async () => {
    const path = await write("unet.safetensors", unetOfLevels(17));
    const { message } = await errorOf(() => openUnetFile(path));
    expect(message).toBe(`${path}: has 17 levels in down_blocks, expected 16 at most`);
  });

  it("may hold what is ignored in any number format", async () => {
    const path = await write("svd.safetensors", {
      ...(await readStored()),
      "model_ema.num_updates": { dtype: "int64", shape: [], data: BigInt64Array.of(7n) },
    });
    expect((await openCheckpoint(path)).unet.tensors.size).toBeGreaterThan(100);
  });

  it("has no variants", async () => {
    const path = await write("svd.safetensors", await readStored());
    const error = await errorOf(() => openCheckpoint(path, { variant: "fp16" }));
    expect(error.code).toBe("invalid-option");
    expect(error.message).toBe(`${path}: a single file has no variants, got "fp16"; leave the variant out`);
  });
});

describe("a file that is no checkpoint says what it is", () => {
  it.each([
    [
      "a UNet in diffusers names",
      only("conv_in.weight", "down_blocks.0.resnets.0.temporal_res_block.norm1.weight"),
      "is a UNet alone, not a whole checkpoint: give it with unet, beside the checkpoint that it belongs to",
    ],
    [
      "a UNet in original names",
      only("model.diffusion_model.input_blocks.1.0.time_stack.in_layers.0.weight"),
      "is a UNet alone, not a whole checkpoint: give it with unet, beside the checkpoint that it belongs to",
    ],
    [
      "a text-to-image checkpoint",
      only("model.diffusion_model.input_blocks.0.0.weight", "cond_stage_model.transformer.text_model.weight"),
      "is a checkpoint of another model, probably text-to-image: its UNet has no layers across frames",
    ],
    [
      "a text-to-image UNet",
      only("conv_in.weight", "down_blocks.0.resnets.0.norm1.weight"),
      "is a UNet of another model, probably text-to-image: it has no layers across frames",
    ],
    [
      "a LoRA of kohya",
      only("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"),
      "is a LoRA, not a whole checkpoint: give it with loras, beside the checkpoint that it changes",
    ],
    [
      "a LoRA of diffusers",
      only("unet.down_blocks.0.attentions.0.proj_in.lora_A.weight"),
      "is a LoRA, not a whole checkpoint: give it with loras, beside the checkpoint that it changes",
    ],
    [
      "a motion module",
      only("down_blocks.0.motion_modules.0.temporal_transformer.norm.weight"),
      "is a motion module of AnimateDiff, which is made for text-to-image checkpoints",
    ],
    [
      "a VAE",
      only("encoder.mid_block.resnets.0.norm1.weight", "decoder.conv_in.weight"),
      "is one part of a checkpoint: give the whole folder, or the single file with all parts",
    ],
    [
      "anything else",
      only("latents"),
      "is no checkpoint: none of its tensors is named like one of Stable Video Diffusion",
    ],
  ])("%s", async (_, tensors, message) => {
    const path = await write("file.safetensors", tensors);
    const error = await errorOf(() => openCheckpoint(path));
    expect(error.message).toBe(`${path}: ${message}`);
    expect(error.code).toBe("unsupported");
  });

  it("a pickle, half a download and a picture", async () => {
    for (const [name, message] of [
      ["svd.ckpt", "pickle weights (.bin, .ckpt, .pt) are not read"],
      ["svd.safetensors.incomplete", "is half a download by its name: finish it first"],
      ["boat.jpg", "is a .jpg file; expected a .safetensors file or a folder in diffusers layout"],
    ] as const) {
      await writeFile(join(temporary, name), "");
      const { message: got } = await errorOf(() => openCheckpoint(join(temporary, name)));
      expect(got).toContain(`${join(temporary, name)}: ${message}`);
    }
    const path = await write("svd.safetensors", await readStored());
    await truncate(path, 3_000_000);
    expect((await errorOf(() => openCheckpoint(path))).message).toMatch(
      /is 3000000 bytes long, its header promises \d+: is this half a download\?$/,
    );
  });
});

describe("a checkpoint with something missing or foreign", () => {
  async function errorWith(change: (tensors: Tensors) => Tensors): Promise<string> {
    const path = await write("svd.safetensors", change(await readStored()));
    const { message } = await errorOf(async () => readNetworksOf(await openCheckpoint(path)));
    return message.replace(`${path}: `, "");
  }
  const without = (pattern: RegExp) => (tensors: Tensors) =>
    Object.fromEntries(Object.entries(tensors).filter(([name]) => !pattern.test(name)));

  it("no image encoder", async () => {
    expect(await errorWith(without(/\.visual\./))).toBe(
      "has no image encoder, expected tensors named conditioner.embedders.0.open_clip.model.visual.*",
    );
  });

  it("a layer that is missing, or has no place", async () => {
    expect(await errorWith(without(/middle_block\.0\.in_layers\.2\.bias/))).toBe(
      "unet: mid_block.resnets.0.spatial_res_block.conv1.bias is missing, expected shape [128]; " +
        "which does not go with the other tensors of svd.safetensors",
    );
    expect(await errorWith((tensors) => ({ ...tensors, "model.diffusion_model.extra.weight": one }))).toBe(
      "unet: 1 of 369 tensors have no place in the network that the others make in svd.safetensors: extra.weight",
    );
  });

  it("two tensors for one place", async () => {
    expect(await errorWith((tensors) => ({ ...tensors, "model.diffusion_model.conv_in.weight": one }))).toBe(
      "svd.safetensors: holds two tensors for conv_in.weight; is it a merge gone wrong?",
    );
  });

  it("a network for another task", async () => {
    const name = "model.diffusion_model.label_emb.0.0.weight";
    const label = { dtype: "float16", shape: [256, 64], data: new Uint16Array(256 * 64) } as const;
    expect(await errorWith((tensors) => ({ ...tensors, [name]: label }))).toContain(
      "its UNet is told 64 channels besides the time, not those of three numbers",
    );
  });

  it("an image encoder whose heads cannot be counted", async () => {
    const narrow = (tensors: Tensors) => ({
      ...tensors,
      "conditioner.embedders.0.open_clip.model.visual.class_embedding": { ...one, shape: [1] },
    });
    expect(await errorWith(narrow)).toBe("its image encoder is 1 wide, expected a multiple of 80, the size of a head");
  });

  it("weights that are no numbers with a point", async () => {
    const counts = (tensors: Tensors) =>
      mapped(tensors, ({ shape, data }) => ({ dtype: "int8", shape, data: new Int8Array(data.length) }));
    expect(await errorWith(counts)).toContain("has dtype int8, expected float32, float16, bfloat16");
  });
});

describe("a UNet in a file of its own", () => {
  it("takes what shapes do not tell from the checkpoint whose UNet it replaces", async () => {
    const base = await openCheckpoint(join(import.meta.dirname, "../../../models/tiny"));
    const path = join(import.meta.dirname, "../../../models/tiny/unet/diffusion_pytorch_model.safetensors");
    const unet = await openUnetFile(path);
    expect("num_attention_heads" in unet.config).toBe(false);
    const replaced = replaceUnet(base, unet);
    const { _class_name, _diffusers_version, ...expected } = base.unet.config;
    expect(replaced.unet.config).toMatchObject(expected);
    expect([...replaced.unet.tensors.keys()].sort()).toEqual([...base.unet.tensors.keys()].sort());
  });

  it("is refused where neither its widths nor the checkpoint tell its heads", async () => {
    const checkpoints = join(import.meta.dirname, "../../checkpoints");
    const base = await openCheckpoint(join(checkpoints, "two-levels-fp32"));
    const unet = await openUnetFile(join(checkpoints, "four-levels-bf16/unet/diffusion_pytorch_model.safetensors"));
    expect(() => replaceUnet(base, unet)).toThrow(
      "diffusion_pytorch_model.safetensors: its UNet has attention at widths of 32, 32, 32, 64, expected multiples of 64, the size of a head",
    );
  });

  it("brings the frames that its name tells", async () => {
    const tensors = diffusersTensors(await readStored(), (await readLayout()).unet);
    const unet = await openUnetFile(await write("AnimateLCM-SVD-xt-1.1.safetensors", tensors));
    expect(unet.config).toMatchObject({ num_frames: 25, num_attention_heads: [1, 2], block_out_channels: [64, 128] });
  });

  it("is refused when it is something else", async () => {
    const path = await write("lora.safetensors", only("unet.conv_in.lora_A.weight"));
    expect((await errorOf(() => openUnetFile(path))).message).toBe(
      `${path}: is a LoRA, not a UNet: give it with loras; expected a UNet of Stable Video Diffusion`,
    );
    const other = await write("sd.safetensors", only("conv_in.weight", "down_blocks.0.resnets.0.norm1.weight"));
    expect((await errorOf(() => openUnetFile(other))).message).toBe(
      `${other}: is a UNet of another model, probably text-to-image: it has no layers across frames; ` +
        "expected a UNet of Stable Video Diffusion",
    );
  });
});

/** As loading does: every graph is written, which is where a wrong tensor shows. */
function readNetworksOf(checkpoint: Awaited<ReturnType<typeof openCheckpoint>>): void {
  const { write } = networksOf(checkpoint);
  write.imageEncoder();
  write.vaeEncoder({ height: 32, width: 32 });
  write.conditioning({ frames: 1 });
  write.unet({ frames: 1, height: 8, width: 8 });
  write.vaeDecoder({ frames: 1, height: 8, width: 8 });
}
