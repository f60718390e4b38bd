/** Do the networks fit the published checkpoints: every tensor used, every shape as expected? Names and shapes only. */
import { describe, expect, it } from "vitest";
import { createCpuFp32Lowering } from "../../src/lowering/cpu-fp32.ts";
import { createCpuInt8Lowering } from "../../src/lowering/cpu-int8.ts";
import type { Graph } from "../../src/onnx/graph.ts";
import { estimateMemory, memoryOf } from "../../src/onnx/memory.ts";
import { readNetworks } from "../../src/pipeline/networks.ts";
import { published } from "../support/published.ts";

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
    const int8 = readNetworks(published({ num_frames: numFrames }), createCpuFp32Lowering, createCpuInt8Lowering);
    expect(operatorCounts(int8.write.unet(size).graph), "unet, int8").toMatchSnapshot("unet, int8");
  });
});

describe("memory estimates", () => {
  const networks = readNetworks(published(), createCpuFp32Lowering);
  const gigabytes = (graph: Graph) => estimateMemory(graph) / 1e9;

  it("count the UNet's 1.5 billion parameters in fp32", () => {
    const small = gigabytes(networks.write.unet({ frames: 1, height: 8, width: 8 }).graph);
    expect(small).toBeGreaterThan(5.5);
    expect(small).toBeLessThan(6.5);
  });

  it("count it in int8 twice, as it is while it is loaded", () => {
    const int8 = readNetworks(published({}), createCpuFp32Lowering, createCpuInt8Lowering);
    const small = gigabytes(int8.write.unet({ frames: 1, height: 8, width: 8 }).graph);
    expect(small).toBeGreaterThan(3.2);
    expect(small).toBeLessThan(3.8);
  });

  it("grow with the frames decoded together", () => {
    const decode = (frames: number) => gigabytes(networks.write.vaeDecoder({ frames, height: 72, width: 128 }).graph);
    expect(decode(2)).toBeGreaterThan(1.7 * decode(1));
    expect(decode(8)).toBeGreaterThan(3.5 * decode(2));
  });

  it("fall by a sixth for the UNet's activations at the published size, with feed-forward layers in four pieces", () => {
    const size = { frames: 25, height: 72, width: 128 };
    const memory = (feedForwardPieces: number) => memoryOf(networks.write.unet({ ...size, feedForwardPieces }).graph);
    const [whole, inPieces] = [memory(1), memory(4)];
    expect(inPieces.activationBytes).toBeLessThan(0.84 * whole.activationBytes);
    expect(inPieces.weightsBytes / whole.weightsBytes).toBeCloseTo(1, 2); // but for some more nodes
  });
});

it("DeepCache's shallow UNet reads a few percent of the published weights", () => {
  const { write } = readNetworks(published(), createCpuFp32Lowering);
  const size = { frames: 8, height: 16, width: 24 };
  const [whole, shallow] = [write.unetWithDeepFeature(size), write.shallowUnet(size)].map(({ graph }) =>
    memoryOf(graph),
  );
  expect(shallow!.weightsBytes / whole!.weightsBytes).toBeLessThan(0.05);
});
