/**
 * Do the networks fit the published checkpoints: every tensor used, every shape as expected? Names and shapes only.
 *
 * The snapshot holds how many operators of each kind a network has. It is taken at a size at which nothing is computed in
 * windows, so that tuning windows does not change it. A change of it is right where a network or a lowering was changed: see
 * that the difference is the one that was meant, and accept it with `npx vitest run test/models/network.published -u`. With any other
 * change, operators came or went that nobody wanted.
 */
import { describe, expect, it } from "vitest";
import { createCpuFp32Lowering } from "../../src/lowering/cpu/fp32.ts";
import { createCpuInt8Lowering } from "../../src/lowering/cpu/int8.ts";
import type { CreateLowering } from "../../src/lowering/lowering.ts";
import type { Graph } from "../../src/onnx/graph.ts";
import { memoryOf } from "../../src/onnx/memory.ts";
import { workspaceSize } from "../../src/streaming/segment-workspace.ts";
import { networksOf } from "../support/platform.ts";
import { published } from "../support/published.ts";

function operatorCounts(graph: Graph): Record<string, number> {
  const counts = Map.groupBy(graph.nodes, ({ operator }) => operator.name);
  return Object.fromEntries([...counts].map(([operator, nodes]) => [operator, nodes.length] as const).sort());
}

describe.each([
  ["SVD", 14],
  ["SVD-XT", 25],
])("%s", (_, numFrames) => {
  const networks = networksOf(published({ num_frames: numFrames }));

  // writeNetwork throws for a tensor that is missing, of another shape, or left over.
  it("uses every tensor at the published size", () => {
    expect(networks.unet.numFrames).toBe(numFrames);
    const size = { frames: numFrames, height: 72, width: 128 };
    const graphs = {
      "image encoder": networks.write.imageEncoder().graph,
      "vae encoder": networks.write.vaeEncoder({ height: 576, width: 1024 }).graph,
      conditioning: networks.write.conditioning(size).graph,
      unet: networks.write.unet(size).graph,
      "vae decoder": networks.write.vaeDecoder(size).graph,
    };
    for (const [name, { nodes }] of Object.entries(graphs)) {
      // An execution provider may look for an input that has an empty name.
      expect(
        nodes.filter(({ inputs }) => inputs.at(-1) === ""),
        name,
      ).toEqual([]);
    }
    expect(graphs.unet.outputs[0]!.shape).toEqual([numFrames, 4, 72, 128]);
    expect(graphs["vae decoder"].outputs[0]!.shape).toEqual([numFrames, 576, 1024, 3]);
    const int8 = networksOf(published({ num_frames: numFrames }), { create: createCpuInt8Lowering });
    expect(int8.write.unet(size).graph.outputs.map(({ shape }) => shape)).toContainEqual([numFrames, 4, 72, 128]);
  });
});

it("has the operators that it had", () => {
  const { write } = networksOf(published());
  const int8 = networksOf(published(), { create: createCpuInt8Lowering });
  const size = { frames: 2, height: 8, width: 8 };
  const graphs = {
    "image encoder": write.imageEncoder().graph,
    "vae encoder": write.vaeEncoder({ height: 64, width: 64 }).graph,
    conditioning: write.conditioning(size).graph,
    unet: write.unet(size).graph,
    "unet, int8": int8.write.unet(size).graph,
    "vae decoder": write.vaeDecoder(size).graph,
  };
  for (const [name, graph] of Object.entries(graphs)) {
    const meaning = `${name}: not the operators that it had, see what that means at the top of this test`;
    expect(operatorCounts(graph), meaning).toMatchSnapshot(name);
  }
});

describe("memory estimates", () => {
  const networks = networksOf(published());
  const gigabytes = (graph: Graph) => {
    const { weightsBytes, activationBytes } = memoryOf(graph);
    return (weightsBytes + activationBytes) / 1e9;
  };

  it.each<[string, CreateLowering, [number, number]]>([
    ["as they are stored, in fp16", createCpuFp32Lowering, [2.7, 3.3]],
    ["in fp32", (graph) => createCpuFp32Lowering(graph, "fp32"), [5.2, 5.8]],
    ["in int8, for fp32", (graph) => createCpuFp32Lowering(graph, "int8"), [1.5, 2]],
    ["in int8, twice while they are packed", createCpuInt8Lowering, [2.5, 3.1]],
  ])("count the 1.3 billion parameters that the UNet's evaluations read %s", (_, createUnetLowering, [least, most]) => {
    const { write } = networksOf(published(), { create: createUnetLowering });
    const small = gigabytes(write.unet({ frames: 1, height: 8, width: 8 }).graph);
    expect(small).toBeGreaterThan(least);
    expect(small).toBeLessThan(most);
  });

  it("grow with the frames decoded together", () => {
    const decode = (frames: number) => gigabytes(networks.write.vaeDecoder({ frames, height: 72, width: 128 }).graph);
    expect(decode(2)).toBeGreaterThan(1.7 * decode(1));
    expect(decode(8)).toBeGreaterThan(3 * decode(2));
  });

  it("fall with the window that the frames are decoded in, to a fraction of what a chunk takes", () => {
    const size = { frames: 8, height: 32, width: 56 };
    const windows = [4, 2, 1].map((window) => {
      const { tensorBytes, runBytes } = workspaceSize(networks.write.vaeDecoderSegments({ ...size, window }));
      return (tensorBytes + runBytes) / 1e9;
    });
    const atOnce = gigabytes(networks.write.vaeDecoder(size).graph);
    for (const [index, bytes] of windows.entries()) expect(bytes).toBeLessThan(0.8 * (windows[index - 1] ?? atOnce));
    expect(windows.at(-1)).toBeLessThan(0.25 * atOnce);
  });
});

it("DeepCache's shallow UNet reads a few percent of the published weights", () => {
  const { write } = networksOf(published());
  const size = { frames: 8, height: 16, width: 24 };
  const [whole, shallow] = [write.unetWithDeepFeature(size), write.shallowUnet(size)].map(({ graph }) =>
    memoryOf(graph),
  );
  expect(shallow!.weightsBytes / whole!.weightsBytes).toBeLessThan(0.05);
});
