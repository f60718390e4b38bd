import { describe, expect, test } from "vitest";
import { chooseWeightsFile, variantsIn, type WeightsNaming } from "../../../src/weights/names/weights-files.ts";

const diffusers: WeightsNaming = { stem: "diffusion_pytorch_model", preferred: "index" };
const transformers: WeightsNaming = { stem: "model", preferred: "single" };

function choose(names: readonly string[], variant?: string, naming = diffusers): string {
  return chooseWeightsFile(names, naming, "svd/unet", variant).name;
}

describe("variants in a listing", () => {
  test("single files, shards and every way to write an index's name", () => {
    const found = variantsIn(
      [
        "config.json",
        "diffusion_pytorch_model.safetensors",
        "diffusion_pytorch_model.safetensors.index.json",
        "diffusion_pytorch_model-00001-of-00002.safetensors",
        "diffusion_pytorch_model.fp16.safetensors",
        "diffusion_pytorch_model.safetensors.index.bf16.json",
        "diffusion_pytorch_model.bf16-00001-of-00002.safetensors",
        "diffusion_pytorch_model.safetensors.int8.index.json",
        "diffusion_pytorch_model.non_ema.safetensors.index.json",
        "diffusion_pytorch_model-00001-of-00002.non_ema.safetensors",
        "diffusion_pytorch_model.fp16.bin",
        "other.fp32.safetensors",
      ],
      "diffusion_pytorch_model",
    );
    expect(Object.fromEntries(found)).toEqual({
      "": { single: "diffusion_pytorch_model.safetensors", index: "diffusion_pytorch_model.safetensors.index.json" },
      fp16: { single: "diffusion_pytorch_model.fp16.safetensors" },
      bf16: { index: "diffusion_pytorch_model.safetensors.index.bf16.json" },
      int8: { index: "diffusion_pytorch_model.safetensors.int8.index.json" },
      non_ema: { index: "diffusion_pytorch_model.non_ema.safetensors.index.json" },
    });
  });
});

describe("the file to read", () => {
  const plain = "diffusion_pytorch_model.safetensors";
  const half = "diffusion_pytorch_model.fp16.safetensors";

  test("is the plain one unless a variant is asked for", () => {
    expect(choose([half, plain])).toBe(plain);
    expect(choose([half, plain], "fp16")).toBe(half);
  });

  test("is the plain one where a component lacks the variant, as in diffusers", () => {
    expect(choose([plain], "fp16")).toBe(plain);
  });

  test("is the only variant when there are no plain weights", () => {
    expect(choose([half])).toBe(half);
  });

  test("is the index in diffusers and the single file in transformers when both are there", () => {
    const index = "diffusion_pytorch_model.safetensors.index.json";
    expect(chooseWeightsFile([plain, index], diffusers, "unet", undefined)).toEqual({ kind: "index", name: index });
    const both = ["model.safetensors", "model.safetensors.index.json"];
    expect(choose(both, undefined, transformers)).toBe("model.safetensors");
  });

  test("must be chosen among several variants", () => {
    expect(() => choose([half, "diffusion_pytorch_model.bf16.safetensors"])).toThrow(
      "svd/unet: has no plain weights; choose the variant: bf16, fp16",
    );
    expect(() => choose([half], "bf16")).toThrow(
      'svd/unet: has neither weights of the variant "bf16" nor plain ones; choose the variant: fp16',
    );
  });

  test("is not a pickle", () => {
    expect(() => choose(["config.json", "diffusion_pytorch_model.bin"])).toThrow(
      "svd/unet/diffusion_pytorch_model.bin: pickle weights (.bin, .ckpt, .pt) are not read, since they can run code",
    );
  });

  test("is missed by name when nothing fits", () => {
    expect(() => choose(["config.json", "flax_model.msgpack"])).toThrow(
      "svd/unet: holds config.json, flax_model.msgpack; expected diffusion_pytorch_model.safetensors, " +
        "diffusion_pytorch_model.fp16.safetensors or diffusion_pytorch_model.safetensors.index.json: is the download complete?",
    );
    expect(() => choose([], undefined, transformers)).toThrow("svd/unet: is empty; expected model.safetensors");
  });
});
