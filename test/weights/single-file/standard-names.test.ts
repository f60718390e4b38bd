/** Do single files and UNets open under every name that programs save them with, and are other copies left alone? */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StillmotionError } from "../../../src/errors.ts";
import { openCheckpoint, openUnetFile } from "../../../src/node/weights.ts";
import { componentContents, contentsOf } from "../contents.ts";
import { diffusersTensors, readLayout, readStored, type Tensors, writeTensors } from "./layouts.ts";

const unetStart = "model.diffusion_model.";
const visual = "conditioner.embedders.0.open_clip.model.visual.";

let temporary: string;
let stored: Tensors;
/** Under the names of diffusers and transformers. */
let networks: Record<"unet" | "vae" | "image_encoder", Tensors>;
let expected: Record<string, string>;

beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), "stillmotion-names-"));
  stored = await readStored();
  const layout = await readLayout();
  networks = {
    unet: diffusersTensors(stored, layout.unet),
    vae: diffusersTensors(stored, layout.vae),
    image_encoder: diffusersTensors(stored, layout.image_encoder),
  };
  expected = await contentsOf(await openCheckpoint(await write(stored)));
});
afterAll(() => rm(temporary, { recursive: true }));

const write = (tensors: Tensors) => writeTensors(join(temporary, "svd.safetensors"), tensors);
const renamed = (tensors: Tensors, rename: (name: string) => string): Tensors =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [rename(name), tensor]));
const below = (start: string, tensors: Tensors) => renamed(tensors, (name) => start + name);
const without = (pattern: RegExp, tensors: Tensors): Tensors =>
  Object.fromEntries(Object.entries(tensors).filter(([name]) => !pattern.test(name)));
const one = { dtype: "float32", shape: [1], data: new Float32Array(1) } as const;

async function messageOf(run: Promise<unknown>): Promise<string> {
  return run.then(
    () => "no error",
    (error: StillmotionError) => error.message.replace(`${temporary}/`, ""),
  );
}

/** As in its own folder, but for a matrix that the original layout holds with its axes exchanged. */
const projection = "image_encoder: visual_projection.weight";
function expectSame(contents: Record<string, string>): void {
  const { [projection]: own, ...rest } = contents;
  const { [projection]: theirs, ...others } = expected;
  expect(rest).toEqual(others);
  expect(own?.split(" ").slice(0, 2)).toEqual(theirs?.split(" ").slice(0, 2));
}

describe("a checkpoint in a single file opens with the same tensors", () => {
  it.each<[string, (name: string) => string]>([
    ["all below module.", (name) => `module.${name}`],
    ["all below module._orig_mod.", (name) => `module._orig_mod.${name}`],
    ["all below model.", (name) => `model.${name}`],
    ["all below _forward_module.", (name) => `_forward_module.${name}`],
    ["all below engine.module.state_dict.", (name) => `engine.module.state_dict.${name}`],
    ["the UNet compiled", (name) => name.replace(unetStart, `${unetStart}_orig_mod.`)],
    [
      "the wrapper of generative-models compiled",
      (name) => name.replace(unetStart, "model._orig_mod.diffusion_model."),
    ],
    ["blocks compiled", (name) => name.replace(/(input_blocks\.\d+)\./, "$1._orig_mod.")],
    ["the UNet below unet.", (name) => name.replace(unetStart, "unet.")],
    ["the UNet below diffusion_model.", (name) => name.replace(unetStart, "diffusion_model.")],
    ["the decoder of the clip below vae.", (name) => name.replace("first_stage_model.", "vae.")],
    ["the image encoder below clip_vision.", (name) => name.replace(visual, "clip_vision.")],
    ["the image encoder below cond_stage_model.", (name) => name.replace(visual, "cond_stage_model.model.visual.")],
  ])("with %s", async (_, rename) => {
    expect(await contentsOf(await openCheckpoint(await write(renamed(stored, rename))))).toEqual(expected);
  });

  it.each<[string, string]>([
    ["as ComfyUI saves it", visual],
    ["below conditioner.embedders.0.", "conditioner.embedders.0."],
    ["below clip_vision.", "clip_vision."],
    ["below cond_stage_model.", "cond_stage_model."],
    ["below nothing", ""],
    ["below vision_model., twice", "vision_model."],
  ])("with the image encoder under the names of transformers %s", async (_, start) => {
    const rest = without(/\.visual\./, stored);
    const whole = { ...rest, ...below(start, networks.image_encoder) };
    expectSame(await contentsOf(await openCheckpoint(await write(whole))));
  });

  it("with CLIP's text half beside the image encoder", async () => {
    const rest = without(/\.visual\./, stored);
    const text = { "clip.text_model.embeddings.token_embedding.weight": one, "clip.logit_scale": one };
    const whole = { ...rest, ...text, ...below("clip.", networks.image_encoder) };
    expectSame(await contentsOf(await openCheckpoint(await write(whole))));
    const openClip = { "cond_stage_model.model.transformer.resblocks.0.ln_1.weight": one };
    const other = { ...renamed(stored, (name) => name.replace(visual, "cond_stage_model.model.visual.")), ...openClip };
    expect(await contentsOf(await openCheckpoint(await write(other)))).toEqual(expected);
  });

  it("with all parts under diffusers' names, as a pipeline's modules are called or below the standard starts", async () => {
    for (const [unet, vae, encoder] of [
      ["unet.", "vae.", "image_encoder."],
      ["unet._orig_mod.", "vae.module.", "image_encoder._orig_mod."],
      [unetStart, "first_stage_model.", visual],
      ["pipe.unet.", "pipe.vae._orig_mod.", "pipe.image_encoder."],
    ] as const) {
      const whole = {
        ...below(unet, networks.unet),
        ...below(vae, networks.vae),
        ...below(encoder, networks.image_encoder),
      };
      const checkpoint = await openCheckpoint(await write(whole));
      expectSame(await contentsOf(checkpoint));
      expect(checkpoint.vae.config._class_name).toBe("AutoencoderKLTemporalDecoder");
    }
  });

  it("with the marks that ComfyUI writes beside the weights", async () => {
    const marks = { "edm_vpred.sigma_max": one, "edm_vpred.sigma_min": one, v_pred: one, ztsnr: one };
    expect(await contentsOf(await openCheckpoint(await write({ ...stored, ...marks })))).toEqual(expected);
  });

  it("with averages of the training beside the weights, which are not taken", async () => {
    const zeros = renamed(networks.unet, (name) => `unet_ema.${name}`);
    const path = await write({ ...stored, ...mappedToOne(zeros) });
    expect(await contentsOf(await openCheckpoint(path))).toEqual(expected);
  });

  it("but not with two tensors for one place", async () => {
    const name = `${unetStart}input_blocks.0.0.weight`;
    const path = await write({ ...stored, [`module.${name}`]: one });
    expect(await messageOf(openCheckpoint(path))).toBe(
      `svd.safetensors: holds ${name} and module.${name}: both are ${name} without what stands before it; keep one of them`,
    );
  });

  it("says of an architecture that ComfyUI writes for all of them nothing about frames", async () => {
    const path = join(temporary, "merge.safetensors");
    await writeTensors(path, stored, { "modelspec.architecture": "stable-video-diffusion-img2vid-v1" });
    expect((await openCheckpoint(path)).assumptions).toEqual([
      `${path}: neither its name nor its metadata says how many frames it was trained on; 14 are assumed`,
    ]);
  });
});

const mappedToOne = (tensors: Tensors): Tensors => Object.fromEntries(Object.keys(tensors).map((name) => [name, one]));

describe("a UNet in a file of its own opens with the same tensors", () => {
  const starts = [
    "_orig_mod.",
    "module.",
    "module._orig_mod.",
    "unet.",
    "unet._orig_mod.",
    "diffusion_model.",
    "model.diffusion_model.",
    "model.diffusion_model._orig_mod.",
    "module.unet.",
    "generator.",
  ];
  const unetOf = (contents: Record<string, string>) =>
    Object.fromEntries(Object.entries(contents).filter(([name]) => name.startsWith("unet: ")));

  it.each(starts)("below %s, under either names", async (start) => {
    const original = renamed(without(/^(?!model\.diffusion_model\.)/, stored), (name) => name.slice(unetStart.length));
    for (const tensors of [networks.unet, original]) {
      const unet = await openUnetFile(await write(below(start, tensors)));
      expect(await componentContents(unet)).toEqual(unetOf(expected));
    }
  });

  it("with compiled blocks, and where only some of it has a prefix", async () => {
    for (const rename of [
      (name: string) => name.replace(/^(down_blocks\.0|mid_block)\./, "$1._orig_mod."),
      (name: string) => (/^down_blocks/.test(name) ? `unet.${name}` : name),
    ]) {
      const unet = await openUnetFile(await write(renamed(networks.unet, rename)));
      expect(await componentContents(unet)).toEqual(unetOf(expected));
    }
  });

  it("with averages of the training beside them, which are not taken", async () => {
    for (const start of ["", "unet."]) {
      const path = await write({ ...below(start, networks.unet), ...mappedToOne(below("unet_ema.", networks.unet)) });
      expect(await componentContents(await openUnetFile(path))).toEqual(unetOf(expected));
    }
  });

  it("but not with two copies", async () => {
    const path = await write({ ...networks.unet, "unet.conv_in.weight": one });
    expect(await messageOf(openUnetFile(path))).toBe(
      "svd.safetensors: holds conv_in.weight and unet.conv_in.weight: " +
        "both are conv_in.weight without what stands before it; keep one of them",
    );
  });

  it("but not averages alone, nor what nobody can tell apart", async () => {
    expect(await messageOf(openUnetFile(await write(below("unet_ema.", networks.unet))))).toBe(
      "svd.safetensors: is averages of a UNet's training alone (EMA), not the weights themselves: " +
        "give the file that holds those (unet_ema.*); expected a UNet of Stable Video Diffusion",
    );
    const two = { ...below("student.", networks.unet), ...below("teacher.", networks.unet) };
    expect(await messageOf(openCheckpoint(await write(two)))).toBe(
      "svd.safetensors: is a UNet of Stable Video Diffusion with something unknown before its names: " +
        "save one such network alone (student.*, teacher.*)",
    );
  });

  it("and is still told from that of another model", async () => {
    const other = { "unet.conv_in.weight": one, "unet.down_blocks.0.resnets.0.norm1.weight": one };
    expect(await messageOf(openUnetFile(await write(other)))).toContain(
      "is a UNet of another model, probably text-to-image: it has no layers across frames",
    );
  });
});
