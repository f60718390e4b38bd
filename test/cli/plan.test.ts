/** What does `stillmotion plan` say? */
import { readdir } from "node:fs/promises";
import { expect, it } from "vitest";
import { bytesFromText } from "../../src/byte-sizes.ts";
import { checkpoint, picture, scratchFolder, small, stillmotion, stillmotionHere } from "./command.ts";

it("shows memory and time of each stage, the disk, and the options; nothing is written", {
  timeout: 60_000,
}, async () => {
  const folder = await scratchFolder();
  const output = ["-o", `${folder}/clip.mp4`, "--scratch-folder", folder];
  const { code, stdout, stderr } = await stillmotion(["plan", picture, ...small, ...output, "--clean"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const lines = stdout.split("\n");
  expect(lines[0]).toContain("landscape.png is 150x100, cropped");
  expect(lines[1]).toBe("two-levels-fp32: 2 frames of 64x64, 1 step, preset diffusers");
  expect(lines[2]).toMatch(/^stage +memory +load +run$/);
  for (const [index, stage] of [
    "image encoder",
    "vae encoder",
    "conditioning",
    "unet",
    "vae decoder",
    "in all",
  ].entries()) {
    expect(lines[3 + index]).toMatch(new RegExp(`^${stage} +\\d+\\.\\d MB( +[\\d.]+ s){2}$`));
  }
  expect(lines[9]).toMatch(/^time: about [\d.]+ s, with 2 runs of the UNet$/);
  expect(lines[10]).toMatch(/^memory: about [\d.]+ MB of the [\d.]+ GB that are there$/);
  expect(lines[11]).toMatch(new RegExp(`^disk: nothing is set aside; [\\d.]+ [GT]B are free in ${folder}$`));
  expect(stdout).toMatch(/^with --dtype fp32 --weight-storage stored --offload model --width 64\n/m);
  expect(await readdir(folder)).toEqual([]);
});

it("is one JSON object with --json, and says what --memory chose", { timeout: 60_000 }, async () => {
  const size = ["--width", "256", "--height", "256", "--frames", "4", "--steps", "1", "--model", checkpoint];
  const plan = async (...words: string[]) => {
    const { code, stdout, stderr } = await stillmotion(["plan", picture, ...size, "--json", ...words]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return JSON.parse(stdout);
  };
  const [usual, frugal] = [await plan(), await plan("--decode-chunk-size", "1")];
  expect(usual).toMatchObject({
    model: "two-levels-fp32",
    preset: "diffusers",
    dtype: "fp32",
    clips: 1,
    unetRuns: { whole: 2, shallow: 0 },
    settings: { decodeChunkSize: 4, numFrames: 4 },
    disk: { neededBytes: 0, folder: expect.any(String) },
    chosen: {},
  });
  expect(usual.stages).toHaveLength(5);
  expect(frugal.peakBytes).toBeLessThan(usual.peakBytes - 20e6);
  const chosen = await plan("--memory", String(Math.round((3 * usual.peakBytes + frugal.peakBytes) / 4)));
  expect(chosen.chosen.decodeChunkSize).toBeLessThan(4);
  expect(chosen.settings).toMatchObject(chosen.chosen);
});

it("downloads no model", async () => {
  const { code, stderr } = await stillmotion(["plan", picture, "--model", "svd-xt"], {
    env: { HF_HOME: await scratchFolder(), HF_ENDPOINT: "http://127.0.0.1:9" },
  });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: .*(cache|download)/);
});

it("generate tells what --memory chose, and refuses what cannot fit with what would", async () => {
  const folder = await scratchFolder();
  const clip = ["-o", `${folder}/clip.gif`, ...small];
  const fits = await stillmotion(["generate", picture, ...clip, "--memory", "4GiB", "--seed", "1,2", "--videos", "2"]);
  expect(fits).toMatchObject({ code: 0 });
  expect(fits.stderr).toContain("--memory 4GiB: no option is changed\n");
  const { code, stderr } = await stillmotionHere(["generate", picture, ...clip, "--memory", "10MB"]);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /error: the [a-z ]+ needs about [\d.]+ MB for 2 frames of 64x64, --memory 10\.0 MB leaves 0 bytes beside what the process holds; /,
  );
});

it("reads sizes as people write them", () => {
  const sizes = ["8GB", "8 gb", "8GiB", "500MB", ".5kB", "1024", "12 bytes", "1.5TiB"].map(bytesFromText);
  expect(sizes).toEqual([8e9, 8e9, 2 ** 33, 500e6, 500, 1024, 12, 1.5 * 2 ** 40]);
  for (const text of ["eight", "8G", "-8GB", "0GB", "8GB8", "1e3", "9999999TB", ""]) {
    expect(bytesFromText(text), text).toBeUndefined();
  }
});
