/** Is a LoRA in memory once, however many threads add it to weights, and does a plan know of it? */
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createOrtEngine } from "../../../src/engine/ort/ort-engine.ts";
import { stageMemory } from "../../../src/estimate/memory.ts";
import { disk } from "../../../src/node/files/disk.ts";
import { openCheckpoint } from "../../../src/node/weights.ts";
import { addFloatWeight, addInput, addInt8Matrix, addOutput, createGraph } from "../../../src/onnx/graph.ts";
import { memoryOf } from "../../../src/onnx/memory.ts";
import { dynamicQuantizeLinear, matMul, matMulIntegerToFloat } from "../../../src/onnx/ops.ts";
import { serialise } from "../../../src/onnx/serialise.ts";
import { readLoras } from "../../../src/options/loras.ts";
import { resolveSettings } from "../../../src/options/resolve-settings.ts";
import { elementCount, floatTensor, type Tensor } from "../../../src/tensor.ts";
import { withLoras } from "../../../src/weights/lora/place-lora.ts";
import { encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import type { Component, WeightEntry } from "../../../src/weights/types.ts";
import { rows } from "../../../src/weights/view.ts";
import { checkpoint, scratchFolder } from "../../cli/command.ts";
import { networksOf } from "../../support/platform.ts";

const filled = (shape: readonly [number, number], value: number): Tensor =>
  floatTensor(shape, new Float32Array(shape[0] * shape[1]).fill(value));

/** Layers `l0`, `l1` ... of `size` x `size` weights, all 0 in their file, to each of which a LoRA adds 2 x rank. */
async function layersWithLora(size: number, count: number, rank: number) {
  const folder = await scratchFolder();
  await writeFile(join(folder, "weights.bin"), new Uint8Array(4 * size * size));
  const names = Array.from({ length: count }, (_, index) => `l${index}`);
  const tensors = new Map(
    names.map((name): [string, WeightEntry] => {
      const sizeBytes = 4 * size * size;
      const entry = { dtype: "float32", shape: [size, size], file: "weights.bin", offset: 0, sizeBytes } as const;
      return [`${name}.weight`, { name: `${name}.weight`, ...entry }];
    }),
  );
  const component: Component = { name: "unet", config: {}, weightsFolder: folder, tensors };
  const halves = names.flatMap((name): [string, Tensor][] => [
    [`${name}.lora_A.weight`, filled([rank, size], 1)],
    [`${name}.lora_B.weight`, filled([size, rank], 2)],
  ]);
  const path = join(folder, "lora.safetensors");
  await writeFile(path, encodeSafetensors(Object.fromEntries(halves)));
  return withLoras(component, await readLoras([{ path }], disk));
}

it("is planned for: itself among what the process holds, and what each thread brings to fp32", async () => {
  const rank = 150_000;
  const path = join(await scratchFolder(), "large.safetensors");
  const loraBytes = await writeEmptyLora(path, { outputs: 64, inputs: [8, 3, 3], rank });
  await using engine = await engineOf(1);
  const before = engine.memory.host.heldBytes(); // what a plan counts as held
  const loras = await readLoras([{ path }], disk);
  expect((engine.memory.host.heldBytes() - before) / loraBytes).toBeCloseTo(1, 0);

  const opened = await openCheckpoint(checkpoint);
  const size = { width: 64, height: 64, numFrames: 2 };
  const { settings } = resolveSettings({ ...size, seed: 1 }, { ...size, preset: {} });
  const networks = networksOf({ ...opened, unet: withLoras(opened.unet, loras) });
  const unetBytes = (threads: number) => {
    const run = { settings, outputType: "latents", images: 1, offload: "model", threads } as const;
    return stageMemory(networks, run).find(({ stage }) => stage === "unet")!.bytes;
  };
  expect(unetBytes(4) - unetBytes(1)).toBe(3 * loraBytes);
});

it("its numbers are shared with every thread that they are handed to", async () => {
  const { tensors } = await layersWithLora(8, 3, 2);
  const products = [...tensors.values()].flatMap((weight) => [weight, rows(weight, 2, 4)]);
  for (const weight of products) {
    const [product] = weight.additions!;
    const [{ up, down }] = structuredClone(weight.additions!) as unknown as [{ up: Tensor; down: Tensor }];
    expect(up.data).toEqual(product!.up.data);
    up.data[0] = 7;
    down.data[0] = 9;
    expect([product!.up.data[0], product!.down.data[0]]).toEqual([7, 9]);
  }
});

it("several threads take no more memory than one copy of it", { timeout: 60_000 }, async () => {
  const [size, count, rank] = [1024, 56, 256]; // 58 million weights: four threads
  const component = await layersWithLora(size, count, rank);
  const loraMB = (count * 2 * size * rank * 4) / 1e6;
  const weightsMB = (count * size * size) / 1e6;
  const graph = createGraph("sums");
  const x = dynamicQuantizeLinear(addInput(graph, "x", "float32", [1, size]));
  for (const [name, weight] of component.tensors) {
    const { bytes, scales } = addInt8Matrix(graph, name, weight);
    addOutput(graph, `y of ${name}`, matMulIntegerToFloat(x, bytes, scales));
  }
  await using engine = await engineOf(4);
  const residentMB = () => process.memoryUsage().rss / 1e6;
  const before = residentMB();
  let most = before;
  const watch = setInterval(() => {
    most = Math.max(most, residentMB());
  }, 2);
  const { weightsFolder } = component;
  const model = { name: "sums", bytes: serialise(graph), weightsFolder, prepared: graph.prepared };
  const session = await engine.load(model).finally(() => clearInterval(watch));
  // The weights twice, as they are worked out and packed, and each thread's own. A copy of the LoRA for each is 470 MB.
  expect(most - before, `${loraMB} MB of LoRA`).toBeLessThan(2 * weightsMB + 2 * loraMB);
  const outputs = await session.run({ x: filled([1, size], 1) });
  for (const { data } of Object.values(outputs)) expect(data[0]).toBeCloseTo(2 * rank * size, -2);
  await session.release();
});

async function engineOf(threads: number) {
  const engine = await createOrtEngine({ threads });
  return { ...engine, [Symbol.asyncDispose]: () => engine.dispose() };
}

it("what a thread brings of it to fp32 is planned, for each thread", async () => {
  const { tensors } = await layersWithLora(64, 2, 32);
  const graph = createGraph("sum");
  const y = matMul(addInput(graph, "x", "float32", [1, 64]), addFloatWeight(graph, "l0", tensors.get("l0.weight")!));
  addOutput(graph, "y", y);
  expect(memoryOf(graph).loadThreadBytes).toBe(2 * 64 * 32 * 4);
});

/** A LoRA for `conv_in` whose numbers are all 0, which take no room on the disk. */
async function writeEmptyLora(
  path: string,
  { outputs, inputs, rank }: { outputs: number; inputs: readonly number[]; rank: number },
): Promise<number> {
  const middle = 4 * rank * elementCount(inputs);
  const end = middle + 4 * rank * outputs;
  const header = JSON.stringify({
    "conv_in.lora_A.weight": { dtype: "F32", shape: [rank, ...inputs], data_offsets: [0, middle] },
    "conv_in.lora_B.weight": { dtype: "F32", shape: [outputs, rank], data_offsets: [middle, end] },
  });
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(BigInt(header.length));
  await writeFile(path, Buffer.concat([start, Buffer.from(header)]));
  await truncate(path, 8 + header.length + end);
  return end;
}
