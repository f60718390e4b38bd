import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bytesText } from "../../src/byte-sizes.ts";
import { chooseFit } from "../../src/cli/generate/choose-fit.ts";
import { outputPaths } from "../../src/cli/generate/outputs.ts";
import { readLatents } from "../../src/cli/run/read-latents.ts";
import { settingFlags, settingsFromFlags } from "../../src/cli/run/setting-flags.ts";
import { secondsText } from "../../src/cli/units.ts";
import { encodeSafetensors } from "../../src/weights/safetensors/safetensors.ts";
import { scratchFolder } from "./command.ts";

describe("settingsFromFlags", () => {
  it("turns text into what the schema wants, or leaves what it cannot read", () => {
    const values = (texts: Record<string, string>) => settingsFromFlags(texts);
    expect(values({ steps: "25", fps: "7.5", fit: "crop", videos: "+2" })).toEqual({
      numInferenceSteps: 25,
      fps: 7.5,
      fit: "crop",
      numVideosPerPrompt: 2,
    });
    expect(values({ sigmas: "700, 1.5e1,0", seed: "18446744073709551615" })).toEqual({
      sigmas: [700, 15, 0],
      seed: 18446744073709551615n,
    });
    expect(values({ seed: "1,-2" })).toEqual({ seed: [1, -2] });
    expect(values({ steps: "0x10", fps: "", seed: "1," })).toEqual({
      numInferenceSteps: "0x10",
      fps: "",
      seed: [1, ""],
    });
    expect(values({ latents: "1.safetensors", noiseDtype: "fp16" })).toEqual({
      latents: "1.safetensors",
      noiseDtype: "fp16",
    });
  });

  it("tells limits and defaults of each flag from the schema", () => {
    const description = (flag: string) => settingFlags().find(({ long }) => long === flag)!.description;
    expect(description("--steps")).toContain("(a whole number from 1 to 1000; default: 25)");
    expect(description("--width")).toContain(
      "(a whole number from 16 to 8192, a multiple of 8; default: as the checkpoint",
    );
    expect(description("--decode-chunk-size")).toContain(
      "(a whole number of 1 or more; default: all up to half a megapixel, of more a quarter of one; all in mode reference)",
    );
    expect(settingFlags().filter(({ description }) => description.includes("undefined"))).toEqual([]);
  });
});

it.each([
  [{ width: 4032, height: 3024 }, { width: 1024, height: 576 }, "crop", "a is 4032x3024, cropped to the clip's 16:9;"],
  [{ width: 500, height: 500 }, { width: 1000, height: 568 }, "crop", "cropped to the clip's 1000x568;"],
  [{ width: 1920, height: 1090 }, { width: 1024, height: 576 }, "stretch", undefined],
  [{ width: 1920, height: 1100 }, { width: 1024, height: 576 }, "crop", "a is 1920x1100"],
] as const)("a picture of %j in a clip of %j: %s", (size, clip, fit, note) => {
  const chosen = chooseFit([{ name: "a", size }], clip);
  expect(chosen.fit).toBe(fit);
  if (note) expect(chosen.notes[0]).toContain(note);
  else expect(chosen.notes).toEqual([]);
});

it("numbers the files of several clips", () => {
  expect(outputPaths(["a/b.mp4", "c"], 1)).toEqual([["a/b.mp4", "c"]]);
  expect(outputPaths([join("a", "b.tar.mp4"), "c.gif"], 2)).toEqual([
    [join("a", "b.tar-1.mp4"), "c-1.gif"],
    [join("a", "b.tar-2.mp4"), "c-2.gif"],
  ]);
});

it("reads starting noise in every float format", async () => {
  const path = join(await scratchFolder(), "noise.safetensors");
  const shape = [1, 1, 1, 2];
  for (const tensor of [
    { dtype: "float32", shape, data: Float32Array.of(1, -2) },
    { dtype: "float16", shape, data: Uint16Array.of(0x3c00, 0xc000) },
    { dtype: "bfloat16", shape, data: Uint16Array.of(0x3f80, 0xc000) },
  ] as const) {
    await writeFile(path, encodeSafetensors({ latents: tensor, other: tensor }));
    expect(await readLatents(path)).toEqual({ dtype: "float32", shape: [1, ...shape], data: Float32Array.of(1, -2) });
  }
});

it("writes sizes and times for people", () => {
  expect([0, 999, 1000, 43_100, 1.25e6, 3e9, 2e13].map((bytes) => bytesText(bytes))).toEqual([
    "0 bytes",
    "999 bytes",
    "1.0 kB",
    "43.1 kB",
    "1.3 MB",
    "3.0 GB",
    "20.0 TB",
  ]);
  expect([0.236, 8.31, 9.96, 59.4, 59.6, 200, 3600, 7530].map(secondsText)).toEqual([
    "0.24 s",
    "8.3 s",
    "10 s",
    "59 s",
    "1 min 0 s",
    "3 min 20 s",
    "1 h 0 min",
    "2 h 5 min",
  ]);
});
