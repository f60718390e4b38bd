import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readClipMetadata } from "../../../src/node/video/read-metadata.ts";
import { readSafetensors } from "../../../src/node/weights.ts";
import {
  checkpoint,
  jsonLines,
  otherPicture,
  picture,
  scratchFolder,
  small,
  start,
  stillmotion,
  stillmotionHere,
} from "../command.ts";

const formats = ["mp4", "gif", "webp", "png", "safetensors"];

it("writes a clip in every format, and the same seed gives the same bytes, quietly", async () => {
  const folder = await scratchFolder();
  const outputs = (name: string) => formats.flatMap((format) => ["-o", join(folder, `${name}.${format}`)]);
  const first = await stillmotion(["generate", picture, ...outputs("first"), ...small, "--seed", "7"]);
  expect(first).toMatchObject({ code: 0, signal: null });
  const names = ["first.mp4", "first.gif", "first.webp", "first-0001.png", "first-0002.png", "first.safetensors"];
  expect(first.stdout).toBe(`${names.map((name) => join(folder, name)).join("\n")}\n`);
  expect(first.stderr).toContain("landscape.png is 150x100, cropped to the clip's 1:1; --fit stretch|pad to choose\n");
  expect(first.stderr).toContain("two-levels-fp32: 2 frames of 64x64, 1 step, preset diffusers\n");
  expect(first.stderr).not.toContain("seed ");
  expect(first.stderr).toMatch(/first\.safetensors: \d+\.\d kB, 2 frames of 64x64, [\d.]+ s\n$/);

  for (const format of formats) {
    const { settings, ...clip } = await readClipMetadata(join(folder, `first.${format}`));
    expect(clip).toEqual({ format, width: 64, height: 64, frames: 2, fps: 7 });
    expect(settings).toMatchObject({
      seed: 7,
      fit: "crop",
      numInferenceSteps: 1,
      model: "two-levels-fp32",
      dtype: "fp32",
    });
    expect(settings).toMatchObject({ stillmotionVersion: expect.any(String), onnxruntimeVersion: "1.30.0" });
  }
  const { tensors } = await readSafetensors(join(folder, "first.safetensors"));
  expect(tensors.frames).toMatchObject({ dtype: "float32", shape: [2, 64, 64, 3] });
  expect(tensors.latents).toMatchObject({ dtype: "float32", shape: [1, 2, 4, 16, 16] });

  const again = await stillmotion(["generate", picture, ...outputs("again"), ...small, "--seed", "7", "--quiet"]);
  expect(again).toEqual({ code: 0, signal: null, stdout: "", stderr: "" });
  for (const name of names) {
    const [bytes, bytesAgain] = [name, name.replace("first", "again")].map((each) => readFile(join(folder, each)));
    expect((await bytes!).equals(await bytesAgain!), name).toBe(true);
  }
});

it("samples a UNet of AnimateLCM as it was made for, and the clip says so", async () => {
  const folder = await scratchFolder();
  const unet = join(folder, "AnimateLCM-SVD-xt.safetensors");
  await cp(join(checkpoint, "unet", "diffusion_pytorch_model.safetensors"), unet);
  const args = ["generate", picture, "-o", join(folder, "clip.gif"), ...small.slice(0, -2), "--unet", unet];
  const { code, stderr } = await stillmotionHere(args);
  expect(code).toBe(0);
  expect(stderr).toContain("two-levels-fp32: 2 frames of 64x64, 4 steps, preset animate-lcm\n");
  const { settings } = await readClipMetadata(join(folder, "clip.gif"));
  expect(settings).toMatchObject({
    unet: "AnimateLCM-SVD-xt.safetensors",
    preset: "animate-lcm",
    scheduler: "animate-lcm",
    numInferenceSteps: 4,
    minGuidanceScale: 1,
    maxGuidanceScale: 1,
  });
  expect(await stillmotionHere([...args, "--steps", "1", "--preset", "diffusers"])).toMatchObject({ code: 0 });
  expect((await readClipMetadata(join(folder, "clip.gif"))).settings).toMatchObject({
    preset: "diffusers",
    scheduler: "euler",
    maxGuidanceScale: 3,
  });
  const asked = ["--steps", "2", "--max-guidance-scale", "1.2"];
  expect(await stillmotionHere([...args, ...asked])).toMatchObject({ code: 0 });
  expect((await readClipMetadata(join(folder, "clip.gif"))).settings).toMatchObject({
    scheduler: "animate-lcm",
    numInferenceSteps: 2,
    maxGuidanceScale: 1.2,
  });
});

it("takes the options of speed and memory, and stores those that shape the run", async () => {
  const path = join(await scratchFolder(), "clip.gif");
  const flags = ["--cache-interval", "2", "--guidance-interval", "0.5,900", "--chunk-feed-forward", "3"];
  const args = ["generate", picture, "-o", path, ...small, "--steps", "2", ...flags, "--offload", "none"];
  const { code, stderr } = await stillmotion(args);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  for (const stage of ["image encoder", "vae encoder", "conditioning", "unet", "vae decoder"]) {
    expect(stderr).toMatch(new RegExp(`^${stage}: [\\d.]+ (m?s|min)$`, "m"));
  }
  const { settings } = await readClipMetadata(path);
  expect(settings).toMatchObject({ cacheInterval: 2, guidanceInterval: [0.5, 900], chunkFeedForward: 3 });
  expect(settings).not.toHaveProperty("offload");
});

it("streams events that a program can read, and nothing else", async () => {
  const folder = await scratchFolder();
  const args = ["generate", picture, "-o", "clip.gif", ...small, "--steps", "2", "--fit", "pad", "--json"];
  const { code, stdout, stderr } = await stillmotion(args, { cwd: folder });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const events = jsonLines(stdout);
  expect(events[0]).toMatchObject({ event: "start", model: "two-levels-fp32", clips: 1, settings: { fit: "pad" } });
  const steps = events.filter(({ event, stage }) => event === "step" && stage === "unet");
  expect(steps.map(({ done, total }) => [done, total])).toEqual([
    [0, 2],
    [1, 2],
    [2, 2],
  ]);
  expect(steps[1]).toMatchObject({ part: "step", secondsPerPart: expect.any(Number), secondsLeft: expect.any(Number) });
  const stages = events.filter(({ state }) => state === "loading").map(({ stage }) => stage);
  expect(stages).toEqual(["image encoder", "vae encoder", "conditioning", "unet", "vae decoder"]);
  expect(events.at(-1)).toMatchObject({
    event: "result",
    files: [{ clip: 1, paths: ["clip.gif"], sizeBytes: expect.any(Number) }],
    frames: 2,
    width: 64,
    height: 64,
    fps: 7,
    seed: expect.any(Number),
    seconds: expect.any(Number),
  });
});

it("numbers the clips of several pictures, tells the drawn seed, and lives without a reader", async () => {
  const folder = await scratchFolder();
  const { child, outcome } = start(["generate", picture, otherPicture, "-o", "clip.png", ...small], { cwd: folder });
  child.stdout!.destroy();
  const { code, stderr } = await outcome;
  expect(code).toBe(0);
  const seed = Number(/^seed (\d+)$/m.exec(stderr)?.[1]);
  expect((await readdir(folder)).sort()).toEqual([
    "clip-1-0001.png",
    "clip-1-0002.png",
    "clip-2-0001.png",
    "clip-2-0002.png",
  ]);
  const { settings } = await readClipMetadata(join(folder, "clip-2.png"));
  expect(settings).toMatchObject({ seed, clip: 2, clips: 2 });
});
