import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { bytesText } from "../../../src/byte-sizes.ts";
import { exportToVideo } from "../../../src/node/video/export.ts";
import { openCheckpoint, readSafetensors } from "../../../src/node/weights.ts";
import { settingsOfClip, settingsToJson } from "../../../src/options/options-json.ts";
import { elementCount } from "../../../src/tensor.ts";
import { encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import { testClip } from "../../video/test-clip.ts";
import { checkpoint, picture, scratchFolder, stillmotionHere } from "../command.ts";

it("shows what a checkpoint is", async () => {
  const { code, stdout, stderr } = await stillmotionHere(["inspect", checkpoint]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const { unet } = await openCheckpoint(checkpoint);
  const parameters = [...unet.tensors.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const figures = `${unet.tensors.size} tensors, ${(parameters / 1e6).toFixed(2)} M parameters, float32, `;
  expect(stdout).toContain(`unet: UNetSpatioTemporalConditionModel\n  ${figures}${bytesText(4 * parameters)}\n`);
  expect(stdout).toContain("made for 3 frames of 64x40\n");
  expect(stdout).toMatch(/^ {2}sigma_max +700$/m);
  expect(stdout).toMatch(/\ncomplete: every tensor is there and has its place\n$/);

  const stored = await stillmotionHere([
    "inspect",
    "test/checkpoints/three-levels-fp16",
    "--variant",
    "fp16",
    "--json",
  ]);
  const report = JSON.parse(stored.stdout);
  expect(report).toMatchObject({ kind: "checkpoint", problems: [], madeFor: { numFrames: expect.any(Number) } });
  expect(report.components.map(({ name }: { name: string }) => name)).toEqual(["image_encoder", "vae", "unet"]);
  const half = report.components[2];
  expect(half).toMatchObject({ dtypes: { float16: half.tensors }, sizeBytes: 2 * half.parameters });
});

it("lists every tensor that is missing, unknown or of another shape", async () => {
  const folder = await scratchFolder();
  await cp(checkpoint, folder, { recursive: true });
  const path = join(folder, "unet", "diffusion_pytorch_model.safetensors");
  const { tensors } = await readSafetensors(path);
  const { "conv_in.bias": bias, "conv_out.weight": _, "conv_norm_out.bias": __, ...rest } = tensors;
  const channels = bias!.shape[0]!;
  const changed = { ...rest, "conv_in.bias": { ...bias!, shape: [2, channels / 2] }, "extra.weight": bias! };
  await writeFile(path, encodeSafetensors(changed));
  await rm(join(folder, "scheduler"), { recursive: true });

  const { code, stdout, stderr } = await stillmotionHere(["inspect", folder]);
  expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
  expect(stdout.slice(stdout.search(/\d+ problems?:/))).toBe(
    [
      "5 problems:",
      `  ${join(folder, "scheduler", "scheduler_config.json")}: is missing: is the download complete?`,
      `  unet: conv_in.bias has shape [2, ${channels / 2}], expected [${channels}]`,
      `  unet: conv_norm_out.bias is missing, expected shape [${channels}]`,
      `  unet: conv_out.weight is missing, expected shape [4, ${channels}, 3, 3]`,
      "  unet: extra.weight has no place in the network",
      "",
    ].join("\n"),
  );
});

it("goes on after a component that is missing or damaged", async () => {
  const folder = await scratchFolder();
  await cp(checkpoint, folder, { recursive: true });
  await rm(join(folder, "image_encoder"), { recursive: true });
  const weights = join(folder, "vae", "diffusion_pytorch_model.safetensors");
  await writeFile(weights, (await readFile(weights)).subarray(0, -1));
  await writeFile(join(folder, "preset.json"), '{"fps": 0}');

  const { code, stdout } = await stillmotionHere(["inspect", folder, "--json"]);
  expect(code).toBe(1);
  const { problems, components } = JSON.parse(stdout);
  expect(components.map(({ name }: { name: string }) => name)).toEqual(["unet"]);
  expect(problems).toHaveLength(3);
  expect(problems[0]).toContain("image_encoder: the folder is missing");
  expect(problems[1]).toContain("vae/diffusion_pytorch_model.safetensors: ");
  expect(problems[2]).toBe("preset.json: fps is 0, expected a number from 1 to 240");
});

it.each(["mp4", "gif", "webp", "png", "safetensors"])("shows the settings of a .%s clip", async (format) => {
  const folder = await scratchFolder();
  const path = join(folder, `clip.${format}`);
  const metadata = { seed: 42, model: "a\u009bm" };
  await exportToVideo(testClip({ width: 16, height: 8, frames: 3 }), path, { fps: 6, metadata });
  const { code, stdout } = await stillmotionHere(["inspect", path]);
  expect(code).toBe(0);
  const head = `${path}: ${format}, 16x8, 3 frames, 6 frames a second, 0.50 s\n`;
  expect(stdout).toContain(`${head}settings:\n  seed   42\n  model  a\\u{9b}m\n`);
  const asJson = await stillmotionHere(["inspect", path, "--json"]);
  expect(JSON.parse(asJson.stdout)).toMatchObject({ kind: "clip", format, frames: 3, settings: metadata });
});

it("prints settings of a clip that are options again, a seed of 64 bits among them", async () => {
  const path = join(await scratchFolder(), "clip.gif");
  const settings = { seed: [2n ** 64n - 1n, 7], sigmas: [700, 1, 0], numFrames: 3, fit: "crop" } as const;
  const given = { ...settings, seed: [...settings.seed], sigmas: [...settings.sigmas] };
  const metadata = { ...settingsToJson(given), model: "svd", dtype: "fp32", stillmotionVersion: "0.1.0" };
  const [file] = await exportToVideo(testClip({ width: 16, height: 8, frames: 3 }), path, { metadata });
  const { stdout } = await stillmotionHere(["inspect", file!, "--json"]);
  expect(JSON.parse(stdout).settings.seed).toEqual(["18446744073709551615", 7]);
  expect(settingsOfClip(JSON.parse(stdout).settings)).toEqual(given);
});

it("lists the tensors of a .safetensors file that is no clip", async () => {
  const folder = await scratchFolder();
  const path = join(folder, "noise.safetensors");
  const latents = { dtype: "float16", shape: [1, 2, 3], data: new Uint16Array(6) } as const;
  await writeFile(path, encodeSafetensors({ latents }));
  const { stdout } = await stillmotionHere(["inspect", path]);
  expect(stdout).toBe(`${path}: safetensors\n1 tensor, 12 bytes:\n  latents  F16 [1, 2, 3]\n`);
});

it.each([
  ["nowhere.mp4", "nowhere.mp4: there is no such path here"],
  ["test/checkpoint/two-levels-fp3", "(did you mean test/checkpoints/two-levels-fp32?)"],
  ["package.json", "package.json: is no clip; expected MP4, GIF, WebP, PNG or safetensors"],
  ["test/cli", "test/cli: has no model_index.json"],
  [`${checkpoint}/unet`, "is one component of a checkpoint: give the folder above it"],
])("refuses %s", async (path, message) => {
  const { code, stdout, stderr } = await stillmotionHere(["inspect", path]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toContain(message);
});

it("shows a picture that was not made here as one without settings", async () => {
  const { code, stdout } = await stillmotionHere(["inspect", picture]);
  expect(code).toBe(0);
  expect(stdout).toContain("png, 150x100, 1 frame\nno settings in it");
});
