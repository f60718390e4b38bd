/**
 * What is in the published checkpoints? Their configurations, and the names and shapes of their tensors.
 *
 * Golden: python -m reference.golden published (reference/golden/published.py), diffusers 0.42.1
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { elementCount } from "../../src/tensor.ts";
import type { Checkpoint, Component, JsonObject, WeightEntry } from "../../src/weights/types.ts";

interface Listing {
  readonly config: JsonObject;
  readonly tensors: Readonly<Record<string, number[]>>;
}

const listing = JSON.parse(
  readFileSync(join(import.meta.dirname, "..", "models", "golden", "published.json"), "utf8"),
) as Record<Component["name"], Listing>;

function component(name: Component["name"], change: JsonObject = {}): Component {
  const { config, tensors } = listing[name];
  const entry = (tensor: string, shape: number[]): WeightEntry => ({
    name: tensor,
    dtype: "float16",
    shape,
    file: "model.fp16.safetensors",
    offset: 0,
    sizeBytes: 2 * elementCount(shape),
  });
  return {
    name,
    config: { ...config, ...change },
    weightsFolder: "/nowhere",
    tensors: new Map(Object.entries(tensors).map(([tensor, shape]) => [tensor, entry(tensor, shape)])),
  };
}

/** SVD-XT without its files, for graphs that are written and never loaded. */
export function published(unetChange: JsonObject = {}): Checkpoint {
  return {
    folder: "/nowhere",
    modelIndex: {},
    unet: component("unet", unetChange),
    vae: component("vae"),
    imageEncoder: component("image_encoder"),
    schedulerConfig: {},
    featureExtractorConfig: {},
  };
}
