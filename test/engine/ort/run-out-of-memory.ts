/**
 * What does an engine do when memory runs out? A program of its own, whose address space is limited for one call:
 * node test/engine/run-out-of-memory.ts load|prepare|run FOLDER. Prints the error of that call, then what the same call gives
 * without the limit.
 */
import { ftruncateSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Model } from "../../../src/engine/engine.ts";
import { createOrtEngine } from "../../../src/engine/ort/ort-engine.ts";
import { addExternal, addInput, addInt8Matrix, addOutput, createGraph, type Edge } from "../../../src/onnx/graph.ts";
import * as ops from "../../../src/onnx/ops.ts";
import { serialise } from "../../../src/onnx/serialise.ts";
import { floatTensor } from "../../../src/tensor.ts";
import { limitMemory } from "../../support/limit-memory.ts";

const [what, folder] = process.argv.slice(2) as ["load" | "prepare" | "run", string];
/** 400 MB in fp16. */
const stored = { dtype: "float16", shape: [16_000, 12_500], file: "weights.bin", offset: 0 } as const;
const sizeBytes = 2 * stored.shape[0] * stored.shape[1];
ftruncateSync(openSync(join(folder, stored.file), "w"), sizeBytes);

function modelOf(layer: (x: Edge) => Edge): Model {
  const graph = createGraph(what);
  addOutput(graph, "y", layer(addInput(graph, "x", "float32", [4, stored.shape[1]])));
  return { name: what, bytes: serialise(graph), weightsFolder: folder, prepared: graph.prepared };
}

const layers = {
  load: (x: Edge) =>
    ops.gemm(x, ops.cast(addExternal(x.graph, "w", "float16", stored.shape, { ...stored, sizeBytes }), "float32")),
  prepare: (x: Edge) => {
    const { bytes, scales } = addInt8Matrix(x.graph, "w", stored);
    return ops.matMulIntegerToFloat(ops.dynamicQuantizeLinear(x), bytes, scales);
  },
  run: (x: Edge) => {
    const many = ops.expand(ops.reshape(x, [4, 1, stored.shape[1]]), [4, 2_000, stored.shape[1]]); // 400 MB
    return ops.reduceMean(ops.quickGelu(many, 1), [1]);
  },
};

const engine = await createOrtEngine({ threads: 2 });

async function loadAndRun(): Promise<string> {
  const session = await engine.load(modelOf(layers[what]));
  try {
    if (what === "run") limitMemory(200e6);
    await session.run({ x: floatTensor([4, stored.shape[1]]) });
    return "done";
  } finally {
    await session.release();
  }
}

if (what !== "run") limitMemory(200e6);
const limited = await loadAndRun().catch(({ code, message }) => ({ code, message }));
limitMemory(undefined);
process.stdout.write(JSON.stringify({ limited, again: await engineAgain() }));
await engine.dispose();

async function engineAgain(): Promise<string> {
  const model = modelOf((x) => ops.quickGelu(x, 1));
  const session = await engine.load({ ...model, prepared: [] });
  await session.run({ x: floatTensor([4, stored.shape[1]]) });
  await session.release();
  return "done";
}
