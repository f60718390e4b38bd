/** Is a LoRA in memory once, however many threads add it to weights? */
import { join } from "node:path";
import { expect, it } from "vitest";
import { createOrtEngine } from "../../src/engine/ort/ort-engine.ts";
import { disk } from "../../src/node/files/disk.ts";
import { addInput, addInt8Matrix, addOutput, createGraph } from "../../src/onnx/graph.ts";
import { dynamicQuantizeLinear, matMulIntegerToFloat } from "../../src/onnx/ops.ts";
import { serialise } from "../../src/onnx/serialise.ts";
import { readLoras } from "../../src/options/loras.ts";
import { scratchFolder } from "../cli/command.ts";
import { filled, layersWithLora, writeEmptyLora } from "../weights/lora/layers-with-lora.ts";

const residentMB = () => process.memoryUsage().rss / 1e6;

it("a LoRA that was read takes its own size", async () => {
  const path = join(await scratchFolder(), "large.safetensors");
  const loraMB = (await writeEmptyLora(path, { outputs: 64, inputs: [8, 3, 3], rank: 150_000 })) / 1e6;
  const before = residentMB();
  const loras = await readLoras([{ path }], disk);
  expect((residentMB() - before) / loraMB).toBeCloseTo(1, 0);
  expect(loras).toHaveLength(1);
});

it("several threads take no more memory than one copy of it", async () => {
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
  const engine = await createOrtEngine({ threads: 4 });
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
  await engine.dispose();
});
