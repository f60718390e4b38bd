/**
 * Do LoRAs reach the clip, from the library and from the command line?
 *
 * Golden: python -m reference.golden lora (reference/golden/lora.py), diffusers 0.42.1
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadImage } from "../../../src/node/image/load-image.ts";
import { StableVideoDiffusionPipeline } from "../../../src/node/stable-video-diffusion.ts";
import { readClipMetadata } from "../../../src/node/video/read-metadata.ts";
import { checkpoint, picture, scratchFolder, small, stillmotionHere } from "../../cli/command.ts";

const kohya = join(import.meta.dirname, "golden", "kohya.safetensors");
const processors = join(import.meta.dirname, "golden", "attention-processors.safetensors");

async function latentsWith(loras: readonly object[] | undefined): Promise<Float32Array> {
  const given = loras as [{ path: string }] | undefined;
  const pipeline = await StableVideoDiffusionPipeline.fromPretrained(checkpoint, { loras: given, threads: 1 });
  try {
    const options = {
      width: 64,
      height: 64,
      numFrames: 2,
      numInferenceSteps: 1,
      seed: 1,
      outputType: "latents",
    } as const;
    return (await pipeline.generate(await loadImage(picture), options)).latents.data;
  } finally {
    await pipeline.dispose();
  }
}

describe("fromPretrained", () => {
  it("adds LoRAs, from a path or from bytes alike", async () => {
    const plain = await latentsWith(undefined);
    const fromPath = await latentsWith([{ path: kohya, strength: 0.8 }]);
    const fromBytes = await latentsWith([{ bytes: await readFile(kohya), strength: 0.8 }]);
    expect(fromPath).toEqual(fromBytes);
    expect(fromPath).not.toEqual(plain);
    expect(await latentsWith([])).toEqual(plain);
  });

  it.each<[object, string]>([
    [{ path: kohya, strength: "1" }, 'loras[0].strength is "1", expected a number'],
    [{ path: kohya, strength: Number.NaN }, "loras[0].strength is NaN, expected a number"],
    [{}, "loras[0] has path undefined and bytes undefined, expected a path, or the file's bytes"],
    ["a.safetensors" as unknown as object, 'loras[0] is "a.safetensors", expected { path } or { bytes }'],
    [{ path: processors }, "attention-processors.safetensors: 2 of 5 layers have no place in the unet"],
  ])("refuses %j", async (lora, message) => {
    await expect(latentsWith([lora])).rejects.toThrow(message);
  });
});

describe("--lora", () => {
  it("may be given several times, and is told by the clip", async () => {
    const output = join(await scratchFolder(), "clip.webp");
    const loras = ["--lora", kohya, "--lora", `${kohya}:-0.5`];
    const { code, stderr } = await stillmotionHere(["generate", picture, "-o", output, ...small, ...loras]);
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    expect((await readClipMetadata(output)).settings?.loras).toEqual(["kohya.safetensors:1", "kohya.safetensors:-0.5"]);
  });

  it("says what is wrong with it", async () => {
    const run = (lora: string) => stillmotionHere(["generate", picture, "-o", "clip.webp", ...small, "--lora", lora]);
    expect(await run(`${kohya}:much`)).toMatchObject({ code: 2 });
    expect((await run(`${kohya}:much`)).stderr).toContain('error: --lora: the strength in "');
    expect((await run("missing.safetensors")).stderr).toContain("error: --lora: missing.safetensors: cannot be opened");
  });
});
