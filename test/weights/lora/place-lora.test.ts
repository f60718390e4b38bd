/** What does a LoRA take beside the weights that it is added to? `test/measured/lora-memory.test.ts` asks the process. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { stageMemory } from "../../../src/estimate/memory.ts";
import { disk } from "../../../src/node/files/disk.ts";
import { openCheckpoint } from "../../../src/node/weights.ts";
import { addFloatWeight, addInput, addOutput, createGraph } from "../../../src/onnx/graph.ts";
import { memoryOf } from "../../../src/onnx/memory.ts";
import { matMul } from "../../../src/onnx/ops.ts";
import { readLoras } from "../../../src/options/loras.ts";
import { resolveSettings } from "../../../src/options/resolve-settings.ts";
import type { Tensor } from "../../../src/tensor.ts";
import { withLoras } from "../../../src/weights/lora/place-lora.ts";
import { rows } from "../../../src/weights/view.ts";
import { checkpoint, scratchFolder } from "../../cli/command.ts";
import { networksOf } from "../../support/platform.ts";
import { layersWithLora, writeEmptyLora } from "./layers-with-lora.ts";

it("is planned for: what each thread brings to fp32, beside itself, which the process holds before a run", async () => {
  const rank = 150_000; // so that loading takes more than running
  const path = join(await scratchFolder(), "large.safetensors");
  const loraBytes = await writeEmptyLora(path, { outputs: 64, inputs: [8, 3, 3], rank });
  const loras = await readLoras([{ path }], disk);
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

it("what a thread brings of it to fp32 is planned, for each thread", async () => {
  const { tensors } = await layersWithLora(64, 2, 32);
  const graph = createGraph("sum");
  const y = matMul(addInput(graph, "x", "float32", [1, 64]), addFloatWeight(graph, "l0", tensors.get("l0.weight")!));
  addOutput(graph, "y", y);
  expect(memoryOf(graph).loadThreadBytes).toBe(2 * 64 * 32 * 4);
});
