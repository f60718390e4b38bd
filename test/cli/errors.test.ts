/**
 * Are errors in the words of the command line, flag for option, and is what people wrote left as it is?
 *
 * Golden: python -m reference.golden lora (reference/golden/lora.py), diffusers 0.42.1
 */
import { copyFile, mkdir, symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { expect, it, vi } from "vitest";
import { flagOf, textWithFlags } from "../../src/cli/errors.ts";
import { modelFlags, type pictureFlags } from "../../src/cli/run/load-flags.ts";
import { inCall, message, option } from "../../src/errors.ts";
import { generateSchema } from "../../src/options/generate-options.ts";
import type { FromPretrainedOptions } from "../../src/options/load-options.ts";
import { checkpoint, jsonLines, picture, scratchFolder, small, stillmotionHere } from "./command.ts";

type LoadOption =
  | Exclude<keyof FromPretrainedOptions, "hub" | "libraryPath" | "onProgress">
  | "revision"
  | "localFilesOnly"
  | "maxMemory"
  | keyof typeof pictureFlags;

/** What is wrong with each, where that is more than a word that means nothing. */
const wrongWords: Readonly<Record<LoadOption, readonly string[]>> = {
  variant: ["wrong"],
  preset: ["wrong"],
  unet: ["wrong.safetensors"],
  loras: ["wrong.safetensors"],
  revision: ["main"],
  localFilesOnly: ["--model", "somebody/something"],
  dtype: ["wrong"],
  weightStorage: ["wrong"],
  device: ["wrong"],
  offload: ["wrong"],
  maxMemory: ["wrong"],
  threads: ["wrong"],
  scratchFolder: ["wrong"],
  background: ["wrong"],
  colorProfile: ["wrong"],
  maxPixels: ["wrong"],
  maxBytes: ["wrong"],
  timeoutMs: ["wrong"],
};

it("each flag of the model and the machine has a wrong value here", () => {
  expect(Object.keys(wrongWords)).toEqual(expect.arrayContaining([...modelFlags().keys()]));
});

/** The error of `generate` as text and as an event, whose words are the same. */
async function refusal(words: readonly string[], image = picture) {
  const args = ["generate", image, "-o", join(await scratchFolder(), "clip.mp4"), ...small, ...words];
  const { stdout } = await stillmotionHere([...args, "--json"]);
  const event = jsonLines(stdout).at(-1) as Record<string, unknown>;
  expect(event.event).toBe("error");
  expect((await stillmotionHere(args)).stderr).toContain(`error: ${event.message}\n`);
  return event as { message: string; option?: string; flag?: string };
}

it.each([
  ...Object.keys(generateSchema.shape).map((name) => [name, ["wrong"]] as const),
  ...Object.entries(wrongWords),
])("a wrong %s is named by its flag, and for programs by its name too", async (name, words) => {
  vi.stubEnv("HF_HOME", await scratchFolder());
  const flag = flagOf(name)!;
  const error = await refusal([flag, ...words]);
  expect(error).toMatchObject({ option: name, flag });
  expect(error.message).toContain(flag);
  if (`--${name}` !== flag) expect(error.message).not.toMatch(new RegExp(`\\b${name}\\b`));
  expect(error.message).not.toMatch(/\b(generate|fromPretrained|loadImage): /);
});

it.each([
  [["--max-pixels", "100"], "maxPixels"],
  [["--max-bytes", "100"], "maxBytes"],
  [["--steps", "9", "--scheduler", "animate-lcm"], "numInferenceSteps"],
  [["--s-noise", "2"], "sNoise"],
  [["--seed", "1,2"], "seed"],
  [["--sigmas", "1,2"], "sigmas"],
  [["--lora", "a.safetensors:much"], "loras"],
  [["-o", "clip.gif", "--fps", "60"], "fps"],
  [["--memory", "1MB"], "maxMemory"],
] as const)("%j is wrong because of what else holds, and %s is to blame", async (words, name) => {
  const error = await refusal(words);
  expect(error).toMatchObject({ option: name, flag: flagOf(name) });
  expect(error.message).toContain(flagOf(name));
});

it("an option without a flag keeps its name, and a call is left out", () => {
  expect(textWithFlags(message`${inCall("generate")}${option("onStep")} is 3`)).toBe("onStep is 3");
  expect(textWithFlags(message`${option("toString")} and ${option("constructor")}`)).toBe("toString and constructor");
});

it.each([
  [["--model", "seed"], "seed: there is no such path here"],
  [["--model", "numFrames/decodeChunkSize", "--local-files-only"], "numFrames/decodeChunkSize is not in the cache"],
  [["--lora", "decodeChunkSize 1.safetensors"], "--lora: decodeChunkSize 1.safetensors: cannot be opened"],
  [["--lora", "maxPixels:seed"], 'the strength in "maxPixels:seed" is "seed"'],
  [["--unet", "numFrames"], "--unet: numFrames: is missing"],
  [["--latents", "noiseDtype"], "--latents: noiseDtype: cannot be opened"],
  [["--scratch-folder", "maxPixels"], "--scratch-folder is maxPixels, expected"],
  [["--variant", "numFrames"], 'of the variant "numFrames"'],
  [["--revision", "scratchFolder"], "--revision scratchFolder is for models"],
  [["--fit", "decodeChunkSize"], '--fit is "decodeChunkSize", expected'],
  [["--dtype", "weightStorage"], '--dtype is "weightStorage", this'],
  [["-o", "numFrames/clip.mp4"], "numFrames/clip.mp4: the folder numFrames does not exist"],
  [["-o", "clip.seed"], "clip.seed: got the extension .seed"],
] as const)("what was written stays as it is: %j", async (words, expected) => {
  vi.stubEnv("HF_HOME", await scratchFolder());
  expect((await refusal(words)).message).toContain(expected);
});

it("a picture's name and its folder's stay as they are", async () => {
  const folder = join(await scratchFolder(), "numFrames");
  const image = join(folder, "maxPixels.png");
  expect((await refusal([], image)).message).toContain(`${image}: was not found`);
  await mkdir(folder);
  await copyFile(picture, image);
  expect((await refusal(["--max-pixels", "100"], image)).message).toMatch(
    /^image .*\/numFrames\/maxPixels\.png: has 150x100 = .* raise --max-pixels$/,
  );
});

it("notes and a plan keep the names of the picture and of the model", { timeout: 60_000 }, async () => {
  const folder = await scratchFolder();
  const [image, model] = [join(folder, "decodeChunkSize 1.png"), join(folder, "seed")];
  await copyFile(picture, image);
  await symlink(checkpoint, model);
  const lora = join(folder, "numFrames: maxPixels.safetensors");
  await copyFile(resolve("test/weights/lora/golden/kohya.safetensors"), lora);
  const args = ["plan", image, ...small, "--model", model, "--lora", `${lora}:0.5`];
  const { stdout } = await stillmotionHere(args);
  expect(stdout).toMatch(
    /^decodeChunkSize 1\.png is 150x100, cropped .*\n\/.*\/numFrames: maxPixels\.safetensors: .*\nseed: 2 frames of 64x64/,
  );
  const plan = JSON.parse((await stillmotionHere([...args, "--json"])).stdout);
  expect(plan).toMatchObject({
    model: "seed",
    notes: [
      expect.stringMatching(/^decodeChunkSize 1\.png is/),
      expect.stringContaining("/numFrames: maxPixels.safetensors: "),
    ],
  });
});

it("a plan that would be refused says what would fit, in flags", { timeout: 120_000 }, async () => {
  const huge = ["--width", "8192", "--height", "8192", "--frames", "16", "--decode-mode", "reference"];
  const args = ["plan", picture, ...small, ...huge];
  const { stdout } = await stillmotionHere(args);
  expect(stdout).toMatch(/^it would be refused: .* with --decode-chunk-size 1 would fit$/m);
  expect(JSON.parse((await stillmotionHere([...args, "--json"])).stdout)).toMatchObject({
    advice: expect.stringContaining("with --decode-chunk-size 1 would fit"),
  });
});
