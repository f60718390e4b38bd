/**
 * Does every tensor of the published single files get its place in the published networks? Names and shapes only.
 *
 * Golden: python -m reference.golden published (reference/golden/published.py), diffusers 0.42.1
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { elementCount } from "../../../src/tensor.ts";
import { fileKind } from "../../../src/weights/single-file/file-kind.ts";
import { ignoredAs, neededStarts } from "../../../src/weights/single-file/file-parts.ts";
import {
  assertAllKnown,
  imageEncoderOfFile,
  unetOfFile,
  vaeOfFile,
  type WeightsFile,
} from "../../../src/weights/single-file/open-file.ts";
import type { Component, JsonObject } from "../../../src/weights/types.ts";
import { networksOf } from "../../support/platform.ts";

interface Listing {
  readonly config: JsonObject;
  readonly tensors: Readonly<Record<string, number[]>>;
}

const published = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../models/golden/published.json"), "utf8"),
) as Record<Component["name"], Listing>;

/** Names with their shapes. */
const keys = new Map(
  readFileSync(join(import.meta.dirname, "published-keys.txt"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(" ") as [string, string])
    .map(([name, shape]) => [name, shape.split(",").map(Number)] as const),
);

/** What the files hold besides: generative-models' FrozenOpenCLIPImageEmbedder, AutoencodingEngine and LitEma. */
const besides = [
  "model_ema.num_updates",
  "model_ema.diffusion_modelinput_blocks00weight",
  "conditioner.embedders.0.open_clip.model.positional_embedding",
  "conditioner.embedders.0.open_clip.model.token_embedding.weight",
  "conditioner.embedders.0.open_clip.model.logit_scale",
  "conditioner.embedders.3.encoder.decoder.conv_in.weight",
  "conditioner.embedders.3.encoder.post_quant_conv.weight",
  "first_stage_model.encoder.conv_in.weight",
];

function fileWith(names: ReadonlyMap<string, readonly number[]>, numFrames?: number): WeightsFile {
  let offset = 0;
  const entries = [...names].map(([name, shape]) => {
    const sizeBytes = 2 * elementCount(shape);
    offset += sizeBytes;
    return [name, { name, dtype: "F16", shape, offset: offset - sizeBytes, sizeBytes }] as const;
  });
  return {
    path: "/nowhere/svd.safetensors",
    name: "svd.safetensors",
    kind: fileKind(names.keys()),
    header: { entries: new Map(entries), metadata: {} },
    weightsFolder: "/nowhere",
    fileName: "svd.safetensors",
    numFrames,
  };
}

const file = fileWith(
  new Map<string, readonly number[]>([...keys, ...besides.map((name) => [name, [4]] as const)]),
  14,
);

describe("the published single files", () => {
  it("are whole checkpoints, by their names", () => expect(file.kind).toBe("checkpoint"));

  it("have no tensor that is neither needed nor known to be without effect", () => {
    assertAllKnown(file);
    const needed = neededStarts(file.header.entries.keys());
    expect([...keys.keys()].filter((name) => !needed.some((start) => name.startsWith(start)))).toEqual([]);
    for (const name of besides) {
      expect(
        needed.some((start) => name.startsWith(start)),
        name,
      ).toBe(false);
      expect(ignoredAs(name), name).toBeTypeOf("string");
    }
    const stranger = fileWith(new Map([...keys, ["model.control_model.conv.weight", [4]]]));
    expect(() => assertAllKnown(stranger)).toThrow(
      "/nowhere/svd.safetensors: holds tensors that no part of Stable Video Diffusion has: model.control_model.conv.weight;",
    );
  });

  it.each([
    ["unet", unetOfFile],
    ["vae", vaeOfFile],
    ["image_encoder", imageEncoderOfFile],
  ] as const)("give the published %s: names, shapes and configuration", (name, read) => {
    const { config, tensors } = read(file);
    const shapes = Object.fromEntries([...tensors].map(([key, { shape }]) => [key, shape]));
    const { "vision_model.embeddings.position_ids": _, ...expected } = published[name].tensors;
    expect(shapes).toEqual(expected);
    const { _class_name, architectures, ...own } = config;
    expect(own).toEqual(published[name].config);
  });

  it("use each of their bytes once", () => {
    const ranges = [unetOfFile, vaeOfFile, imageEncoderOfFile]
      .flatMap((read) => [...read(file).tensors.values()])
      .map(({ offset, sizeBytes }) => [offset, offset + sizeBytes] as const)
      .sort(([a], [b]) => a - b);
    for (const [index, [start]] of ranges.entries()) {
      if (index > 0) expect(start).toBeGreaterThanOrEqual(ranges[index - 1]![1]);
    }
    const used = ranges.reduce((sum, [start, end]) => sum + end - start, 0);
    expect(used).toBe([...keys.values()].reduce((sum, shape) => sum + 2 * elementCount(shape), 0));
  });

  it("fill the networks, with nothing left over", () => {
    const checkpoint = {
      folder: file.path,
      modelIndex: {},
      unet: unetOfFile(file),
      vae: vaeOfFile(file),
      imageEncoder: imageEncoderOfFile(file),
      schedulerConfig: {},
      featureExtractorConfig: {},
    };
    const { write } = networksOf(checkpoint);
    const size = { frames: 2, height: 16, width: 16 };
    const encoders = [write.imageEncoder(), write.vaeEncoder({ height: 64, width: 64 })];
    for (const written of [...encoders, write.conditioning(size), write.unet(size)]) {
      expect(written.graph.outputs.length).toBe(1);
    }
    expect(write.vaeDecoder(size).graph.outputs[0]!.shape).toEqual([2, 128, 128, 3]);
  });
});
