/** Do the published settings travel with the checkpoints, and is a published checkpoint recognised? */
import { describe, expect, it } from "vitest";
import type { GenerateSettings } from "../../src/options/generate-options.ts";
import { farFromTraining, presetOf } from "../../src/options/presets.ts";
import type { Checkpoint } from "../../src/weights/types.ts";

const published = { blockOutChannels: [320, 640, 1280, 1280], numFrames: 25 };
const small = { blockOutChannels: [32, 64], numFrames: 25 };
const opened = (folder: string, more: object = {}) => ({ folder, unet: {}, ...more }) as unknown as Checkpoint;

describe("the official preset", () => {
  it.each([
    ["/cache/models--stabilityai--stable-video-diffusion-img2vid/snapshots/9cf0", "svd"],
    ["/cache/models--stabilityai--stable-video-diffusion-img2vid-xt/snapshots/9cf0", "svd-xt"],
    ["/cache/models--stabilityai--stable-video-diffusion-img2vid-xt-1-1/snapshots/9cf0", "svd-xt-1.1"],
    ["C:\\models\\svd_xt_1_1.safetensors", "svd-xt-1.1"],
    ["./svd.safetensors", "svd"],
    ["./svd_xt.fp16.safetensors", "svd-xt"],
    ["./stable-video-diffusion-img2vid-xt/", "svd-xt"],
  ])("of %s is %s", (folder, name) => {
    expect(presetOf(opened(folder), small, "official").name).toBe(`official ${name}`);
  });

  it("has the settings that were published", () => {
    const settings = (folder: string) => presetOf(opened(folder), published, "official").settings;
    expect(settings("svd")).toEqual({ numInferenceSteps: 25, minGuidanceScale: 1, maxGuidanceScale: 2.5 });
    expect(settings("svd-xt")).toEqual({ numInferenceSteps: 30, minGuidanceScale: 1.5, maxGuidanceScale: 3 });
    expect(settings("svd-xt-1.1")).toMatchObject({ fps: 7, motionBucketId: 127 });
  });

  it("is found by the published widths where the name says nothing", () => {
    expect(presetOf(opened("/a/b"), published, "official").name).toBe("official svd-xt");
    expect(presetOf(opened("/a/b"), { ...published, numFrames: 14 }, "official").name).toBe("official svd");
    expect(presetOf(opened("/svd/mine"), small)).toEqual({ name: "diffusers", settings: {} });
  });

  it("is an error where it is asked for and not known", () => {
    expect(() => presetOf(opened("/svd/mine"), small, "official")).toThrow(
      "preset is official, but /svd/mine is none of svd, svd-xt, svd-xt-1.1, by its name or its widths, and has no preset.json; leave the preset out, or take diffusers",
    );
    expect(presetOf(opened("svd-xt"), published).name).toBe("official svd-xt");
  });

  it("is four steps without guidance for an AnimateLCM UNet, whatever it was put into", () => {
    const checkpoint = opened("svd-xt", { unet: { configFrom: "AnimateLCM-SVD-xt-1.1.safetensors" } });
    expect(presetOf(checkpoint, published, "official")).toEqual({
      name: "animate-lcm",
      settings: { scheduler: "animate-lcm", numInferenceSteps: 4, minGuidanceScale: 1, maxGuidanceScale: 1 },
    });
  });

  it("is the checkpoint's own preset.json where it has one", () => {
    const checkpoint = opened("svd-xt", { preset: { fps: 9 } });
    expect(presetOf(checkpoint, published, "official")).toEqual({ name: "preset.json", settings: { fps: 9 } });
    expect(() => presetOf(opened("x", { preset: { fps: 0 } }), small, "official")).toThrow(
      expect.objectContaining({ code: "invalid-checkpoint", message: expect.stringMatching(/^preset.json: fps is 0/) }),
    );
  });

  it("gives way to the reference's defaults when those are asked for", () => {
    expect(presetOf(opened("svd-xt", { preset: { fps: 9 } }), published, "diffusers")).toEqual({
      name: "diffusers",
      settings: {},
    });
  });
});

describe("settings far from the training", () => {
  const usual: GenerateSettings = {
    scheduler: "euler",
    width: 1024,
    height: 576,
    numFrames: 25,
    fps: 7,
    motionBucketId: 127,
    noiseAugStrength: 0.02,
  };

  it("are told, each for itself", () => {
    expect(farFromTraining(usual, published)).toEqual([]);
    expect(farFromTraining({ ...usual, width: 256, height: 256 }, published)).toEqual([
      "256x256 is far from the 1024x576 that this checkpoint was trained on",
    ]);
    const wild = { ...usual, numFrames: 60, fps: 60, motionBucketId: 500, noiseAugStrength: 3 };
    expect(farFromTraining(wild, published)).toHaveLength(4);
  });

  it("are told of the scheduler, by the name of the UNet's file", () => {
    const lcm = { ...usual, scheduler: "animate-lcm" } as const;
    const file = "AnimateLCM-SVD-xt.safetensors";
    expect(farFromTraining(lcm, published, file)).toEqual([]);
    expect(farFromTraining(lcm, published)).toEqual([
      "animate-lcm is for UNets distilled for it, such as AnimateLCM-SVD-xt; this one has no such name",
    ]);
    expect(farFromTraining(usual, published, file)).toEqual([
      `${file} was distilled for animate-lcm, and euler is another scheduler`,
    ]);
  });

  it("are not known of other checkpoints", () => {
    expect(farFromTraining({ ...usual, motionBucketId: 500 }, small)).toEqual([]);
  });
});
