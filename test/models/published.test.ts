/** Do the networks fit the published checkpoints: every tensor used, every shape as expected? Names and shapes only. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createCpuFp32Lowering } from "../../src/lowering/cpu-fp32.ts";
import type { Graph } from "../../src/onnx/graph.ts";
import { estimateMemory } from "../../src/onnx/memory.ts";
import { readNetworks } from "../../src/pipeline/networks.ts";
import { elementCount } from "../../src/tensor.ts";
import type { Checkpoint, Component, JsonObject, WeightEntry } from "../../src/weights/types.ts";

interface Listing {
  readonly config: JsonObject;
  readonly tensors: Readonly<Record<string, number[]>>;
}

const listing = JSON.parse(readFileSync(join(import.meta.dirname, "golden", "published.json"), "utf8")) as Record<
  Component["name"],
  Listing
>;

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

function published(unetChange: JsonObject): Checkpoint {
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

function operatorCounts(graph: Graph): Record<string, number> {
  const counts = Map.groupBy(graph.nodes, ({ operator }) => operator);
  return Object.fromEntries([...counts].map(([operator, nodes]) => [operator, nodes.length] as const).sort());
}

describe.each([
  ["SVD", 14],
  ["SVD-XT", 25],
])("%s", (_, numFrames) => {
  const networks = readNetworks(published({ num_frames: numFrames }), createCpuFp32Lowering);

  // writeNetwork throws for a tensor that is missing, of another shape, or left over.
  it("uses every tensor at the published size", () => {
    expect(networks.unet.numFrames).toBe(numFrames);
    const size = { frames: numFrames, height: 72, width: 128 };
    const graphs = {
      "image encoder": networks.write.imageEncoder().graph,
      "vae encoder": networks.write.vaeEncoder({ height: 576, width: 1024 }).graph,
      unet: networks.write.unet(size).graph,
      "vae decoder": networks.write.vaeDecoder(size).graph,
    };
    expect(graphs.unet.outputs[0]!.shape).toEqual([numFrames, 4, 72, 128]);
    expect(graphs["vae decoder"].outputs[0]!.shape).toEqual([numFrames, 576, 1024, 3]);
    for (const [name, graph] of Object.entries(graphs)) expect(operatorCounts(graph), name).toMatchSnapshot(name);
  });
});

describe("memory estimates", () => {
  const networks = readNetworks(published({}), createCpuFp32Lowering);
  const gigabytes = (graph: Graph) => estimateMemory(graph) / 1e9;

  it("count the UNet's 1.5 billion parameters in fp32", () => {
    const small = gigabytes(networks.write.unet({ frames: 1, height: 8, width: 8 }).graph);
    expect(small).toBeGreaterThan(5.5);
    expect(small).toBeLessThan(6.5);
  });

  it("grow with the frames decoded together", () => {
    const decode = (frames: number) => gigabytes(networks.write.vaeDecoder({ frames, height: 72, width: 128 }).graph);
    expect(decode(2)).toBeGreaterThan(1.7 * decode(1));
    expect(decode(8)).toBeGreaterThan(3.5 * decode(2));
  });

  it("fall with the window that the frames are decoded in, to a fraction of what a chunk takes", () => {
    const size = { frames: 8, height: 32, width: 56 };
    const windows = [4, 2, 1].map((window) =>
      Math.max(...networks.write.vaeDecoderSegments({ ...size, window }).map(({ graph }) => gigabytes(graph))),
    );
    const atOnce = gigabytes(networks.write.vaeDecoder(size).graph);
    for (const [index, bytes] of windows.entries()) expect(bytes).toBeLessThan(0.8 * (windows[index - 1] ?? atOnce));
    expect(windows.at(-1)).toBeLessThan(0.25 * atOnce);
  });
});
