/**
 * What does `stillmotion inspect` say of a .safetensors file of weights?
 *
 * Golden: python -m reference.golden image (reference/golden/image.py), pillow 13.0.0
 */
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { float32ToFloat16 } from "../../../src/half.ts";
import { readSafetensors } from "../../../src/node/weights.ts";
import { encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import { checkpointCopy, editJson } from "../../weights/checkpoint-copy.ts";
import {
  asComfyUiSaves,
  diffusersTensors,
  readImageDecoder,
  readLayout,
  readStored,
  writeTensors,
} from "../../weights/single-file/layouts.ts";
import { scratchFolder, stillmotionHere } from "../command.ts";

const one = { dtype: "float32", shape: [1], data: new Float32Array(1) } as const;

it("shows a checkpoint in a single file as it shows a folder", async () => {
  const path = await writeTensors(join(await scratchFolder(), "mine.safetensors"), await readStored());
  const { code, stdout, stderr } = await stillmotionHere(["inspect", path]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toContain(
    `${path}: checkpoint of Stable Video Diffusion\n` +
      "neither its name nor its metadata says how many frames it was trained on; 14 are assumed\n",
  );
  expect(stdout).toMatch(/^vae: AutoencoderKLTemporalDecoder\n {2}\d+ tensors, [\d.]+ M parameters, float16, /m);
  expect(stdout).toContain("made for 14 frames of 256x144\n");
  expect(stdout).toMatch(/^ {2}sigma_max +700$/m);
  expect(stdout).toMatch(/\ncomplete: every tensor is there and has its place\n$/);

  const frameWise = await writeTensors(
    join(await scratchFolder(), "svd_image_decoder.safetensors"),
    await readImageDecoder(),
  );
  const report = JSON.parse((await stillmotionHere(["inspect", frameWise, "--json"])).stdout);
  expect(report).toMatchObject({ kind: "checkpoint", problems: [], madeFor: { numFrames: 14 }, assumptions: [] });
  expect(report.components[1].class).toBe("AutoencoderKL");
});

it("shows one as ComfyUI saves it, or with a compiled UNet, as complete", async () => {
  const stored = await readStored();
  const compiled = Object.entries(stored).map(
    ([name, tensor]) => [name.replace("diffusion_model.", "diffusion_model._orig_mod."), tensor] as const,
  );
  for (const tensors of [await asComfyUiSaves(stored), Object.fromEntries(compiled)]) {
    const path = await writeTensors(join(await scratchFolder(), "svd.safetensors"), tensors);
    const { code, stdout } = await stillmotionHere(["inspect", path]);
    expect(stdout).toMatch(/\ncomplete: every tensor is there and has its place\n$/);
    expect(code).toBe(0);
  }
});

it("says of a folder with other classes what is taken for them", async () => {
  const folder = await checkpointCopy();
  await editJson(join(folder, "model_index.json"), (json) => {
    json._class_name = "MaskStableVideoDiffusionPipeline";
  });
  await editJson(join(folder, "scheduler/scheduler_config.json"), (json) => {
    json._class_name = "DDIMScheduler";
  });
  const { code, stdout } = await stillmotionHere(["inspect", folder]);
  expect(stdout).toMatch(
    /^model_index\.json: is of class MaskStableVideoDiffusionPipeline; its networks are those of /m,
  );
  expect(stdout).toMatch(/scheduler_config\.json: is of class DDIMScheduler; EulerDiscreteScheduler is taken instead/);
  expect(stdout).toMatch(/\ncomplete: every tensor is there and has its place\n$/);
  expect(code).toBe(0);
});

it("lists all that is wrong with one", async () => {
  const stored = await readStored();
  const kept = Object.entries(stored).filter(([name]) => !/\.visual\.|out\.2\.bias/.test(name));
  const path = join(await scratchFolder(), "svd.safetensors");
  await writeTensors(path, { ...Object.fromEntries(kept), "model.diffusion_model.extra": one });
  const { code, stdout } = await stillmotionHere(["inspect", path]);
  expect(code).toBe(1);
  expect(stdout.slice(stdout.search(/\d+ problems?:/))).toBe(
    [
      "3 problems:",
      `  ${path}: has no image encoder, expected tensors named conditioner.embedders.0.open_clip.model.visual.*`,
      "  unet: conv_out.bias is missing, expected shape [4]",
      "  unet: extra has no place in the network",
      "",
    ].join("\n"),
  );
});

it("shows a UNet alone, as AnimateLCM-SVD-xt is published", async () => {
  const tensors = diffusersTensors(await readStored(), (await readLayout()).unet);
  const path = await writeTensors(join(await scratchFolder(), "AnimateLCM-SVD-xt.safetensors"), tensors);
  const { code, stdout } = await stillmotionHere(["inspect", path]);
  expect(code).toBe(0);
  expect(stdout).toContain(`${path}: UNet of Stable Video Diffusion, to give with --unet beside a checkpoint\n`);
  expect(stdout).toContain("made for 25 frames by its name\n\ncomplete: every tensor is there and has its place\n");
});

it.each([
  ["a LoRA", ["unet.a.attn1.to_q.lora_A.weight", "unet.a.attn1.to_q.lora_B.weight"], 0, "LoRA, to give with --lora"],
  [
    "a LoRA of a diffusion transformer",
    ["transformer.blocks.0.attn.to_q.lora_A.weight", "transformer.blocks.0.attn.to_q.lora_B.weight"],
    1,
    "LoRA for a diffusion transformer, such as FLUX or Wan\n",
  ],
  [
    "a text-to-image checkpoint",
    ["model.diffusion_model.input_blocks.0.0.weight", "cond_stage_model.transformer.weight"],
    1,
    "a checkpoint of another model, probably text-to-image: its UNet has no layers across frames",
  ],
  ["a motion module", ["down_blocks.0.motion_modules.0.norm.weight"], 1, "a motion module of AnimateDiff"],
])("says that a file is %s", async (_, names, expectedCode, message) => {
  const path = join(await scratchFolder(), "file.safetensors");
  const matrix = { dtype: "float32", shape: [1, 1], data: new Float32Array(1) } as const;
  await writeFile(path, encodeSafetensors(Object.fromEntries(names.map((name) => [name, matrix]))));
  const { code, stdout } = await stillmotionHere(["inspect", path]);
  expect(stdout).toContain(`${path}: ${message}`);
  expect(code).toBe(expectedCode);
});

it("says for which model a LoRA was made, and that it cannot be used", async () => {
  const path = join(await scratchFolder(), "style.safetensors");
  const matrix = (rows: number, columns: number) =>
    ({ dtype: "float32", shape: [rows, columns], data: new Float32Array(rows * columns) }) as const;
  const key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";
  await writeTensors(path, { [`${key}.lora_down.weight`]: matrix(4, 768), [`${key}.lora_up.weight`]: matrix(320, 4) });
  expect(await stillmotionHere(["inspect", path])).toEqual({
    code: 1,
    stdout:
      `${path}: LoRA for Stable Diffusion 1\nchanges 1 layer of unet, rank 4, F32\n\n` +
      `1 problem:\n  ${path}: looks like a LoRA for Stable Diffusion 1\n`,
    stderr: "",
  });
});

it("says of a folder that it is another model's, and nothing about what that lacks", async () => {
  const folder = await scratchFolder();
  const index = { _class_name: "StableDiffusionXLPipeline", text_encoder: ["transformers", "CLIPTextModel"] };
  await writeFile(join(folder, "model_index.json"), JSON.stringify(index));
  expect(await stillmotionHere(["inspect", folder])).toEqual({
    code: 1,
    stdout: "",
    stderr:
      `error: ${folder}/model_index.json: is of class StableDiffusionXLPipeline, which makes pictures or clips from text; ` +
      "expected a StableVideoDiffusionPipeline, such as stabilityai/stable-video-diffusion-img2vid-xt\n",
  });
});

it("says that a file is half a download, or a pickle", async () => {
  const path = join(await scratchFolder(), "svd.safetensors");
  await writeFile(path, encodeSafetensors(await readStored()).subarray(0, 1_000_000));
  const half = await stillmotionHere(["inspect", path]);
  expect(half).toMatchObject({ code: 1, stdout: "" });
  expect(half.stderr).toContain("is this half a download?");
  const pickle = join(await scratchFolder(), "svd.ckpt");
  await writeFile(pickle, "");
  expect((await stillmotionHere(["inspect", pickle])).stderr).toContain(
    "pickle weights (.bin, .ckpt, .pt) are not read",
  );
});

describe("--weights reads all numbers", () => {
  const halves = (...values: number[]) => float32ToFloat16(Float32Array.from(values));
  const up = "unet.conv_in.lora_B.weight";
  const lora = (data: Uint16Array) => ({
    "unet.conv_in.lora_A.weight": { dtype: "float16", shape: [2, 3], data: halves(1, 2, 3, 4, 5, 6) } as const,
    [up]: { dtype: "float16", shape: [4, 2], data } as const,
  });

  it("and says which are not finite, with exit code 1", async () => {
    const data = halves(1, 2, 3, 4, 5, Number.POSITIVE_INFINITY, Number.NaN, Number.NaN);
    const path = await writeTensors(join(await scratchFolder(), "lora.safetensors"), lora(data));
    expect((await stillmotionHere(["inspect", path])).code).toBe(0);
    const { code, stdout } = await stillmotionHere(["inspect", path, "--weights"]);
    expect(code).toBe(1);
    expect(stdout).toContain(
      `${path}: 28 bytes in 2 tensors read, 1 tensor not finite:\n    ${up} holds 2 NaN and 1 infinite, the first at [2, 1]\n`,
    );
    const report = JSON.parse((await stillmotionHere(["inspect", path, "--weights", "--json"])).stdout);
    expect(report.problems).toEqual([`${path}: ${up} holds 2 NaN and 1 infinite, the first at [2, 1]`]);
    expect(report.weights).toMatchObject([
      { tensors: 2, findings: [{ name: up, nan: 2, infinite: 1, first: [2, 1] }] },
    ]);
  });

  it("of a sound file, whose oddities are no problems", async () => {
    const path = join(await scratchFolder(), "any.safetensors");
    const values = new Float32Array(3 * 1024 * 1024); // more than is read at once
    values[values.length - 1] = 1e5;
    await writeTensors(path, {
      large: { dtype: "float32", shape: [3, 1024 * 1024], data: values },
      zero: { dtype: "bfloat16", shape: [4], data: new Uint16Array(4) },
      count: { dtype: "int64", shape: [1], data: BigInt64Array.of(5n) },
    });
    const { code, stdout } = await stillmotionHere(["inspect", path, "--weights"]);
    expect(code).toBe(0);
    expect(stdout).toContain("in 3 tensors read, every number is finite\n");
    expect(stdout).toContain("  all zero, which may be meant:\n    zero\n");
    expect(stdout).toContain("  too large for float16, where they would be infinite:\n    large, up to 1.00e+5\n");
    expect(stdout).toContain("  not looked at: 1 tensor of I64\n");
  });

  it("of a checkpoint's folder, whichever of its files they lie in", async () => {
    const folder = join(await scratchFolder(), "model");
    await cp(join("test", "checkpoints", "three-levels-fp16"), folder, { recursive: true });
    expect((await stillmotionHere(["inspect", folder, "--variant", "fp16", "--weights"])).code).toBe(0);
    const shard = join(folder, "unet", "diffusion_pytorch_model.fp16-00002-of-00002.safetensors");
    const { tensors } = await readSafetensors(shard);
    const [name, tensor] = Object.entries(tensors).at(-1)!;
    tensor.data[tensor.data.length - 1] = 0x7e00;
    await writeTensors(shard, tensors);
    const { code, stdout } = await stillmotionHere(["inspect", folder, "--variant", "fp16", "--weights"]);
    expect(code).toBe(1);
    expect(stdout).toContain(
      `    ${name} holds 1 NaN, the first at [${tensor.shape.map((size) => size - 1).join(", ")}]\n`,
    );
    expect(stdout).toContain("model.fp16.safetensors: ");
  });

  it("and is refused for what has none", async () => {
    const { code, stderr } = await stillmotionHere(["inspect", "test/image/golden/palette.png", "--weights"]);
    expect({ code, stderr }).toMatchObject({ code: expect.any(Number), stderr: expect.stringContaining("error: ") });
    expect(code).not.toBe(0);
  });
});
