/** Are all sessions of a provider that wants one thread made in the thread that runs them, and do they give what others give? */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Engine, Model } from "../../../src/engine/engine.ts";
import { createOrtEngine } from "../../../src/engine/ort/ort-engine.ts";
import type { PrepareReply } from "../../../src/engine/ort/prepare-worker.ts";
import { cpuProvider } from "../../../src/engine/ort/provider.ts";
import { float32ToFloat16 } from "../../../src/half.ts";
import { addFloatWeight, addInput, addInt8Matrix, addOutput, createGraph } from "../../../src/onnx/graph.ts";
import { dynamicQuantizeLinear, gemm, matMulIntegerToFloat } from "../../../src/onnx/ops.ts";
import { serialise } from "../../../src/onnx/serialise.ts";
import { splitGraph } from "../../../src/onnx/split-graph.ts";
import type { StoredWeight } from "../../../src/onnx/stored-weight.ts";
import { floatTensor } from "../../../src/tensor.ts";
import { matMulChain } from "./test-models.ts";

const folder = mkdtempSync(join(tmpdir(), "thread-bound-"));
const size = 1024;
const x = floatTensor(
  [1, size],
  Float32Array.from({ length: size }, (_, index) => Math.sin(index)),
);
let bound: Engine;
let free: Engine;

/** What happened in which thread since the test began. */
const events: string[] = [];

/** Notes sessions that a thread says it has made, and what the engine's worker is asked for. */
const watch = (worker: Worker) => {
  worker.on("message", ({ loaded }: Partial<PrepareReply>) => {
    if (loaded) events.push(...loaded.map(() => "made by a thread that prepares weights"));
  });
  const post = worker.postMessage.bind(worker);
  worker.postMessage = (request, transfer) => {
    if (request.kind === "load") events.push(`made by the engine's thread: ${request.name}`);
    post(request, transfer as never);
  };
};

beforeAll(async () => {
  const weights = Float32Array.from({ length: size * size }, (_, index) => Math.sin(index * index) / 32);
  writeFileSync(join(folder, "weights.bin"), float32ToFloat16(weights));
  process.on("worker", watch);
  bound = await createOrtEngine({ threads: 2, provider: { ...cpuProvider, isThreadBound: true } });
  free = await createOrtEngine({ threads: 2 });
});
beforeEach(() => void events.splice(0));
afterAll(async () => {
  process.off("worker", watch);
  for (const engine of [bound, free]) await engine.dispose();
  rmSync(folder, { recursive: true });
});

const stored: StoredWeight = { dtype: "float16", shape: [size, size], file: "weights.bin", offset: 0 };

/** What a LoRA adds, of rank 4. */
function lora(): StoredWeight {
  const matrix = (shape: number[], step: number) => {
    const data = Float32Array.from({ length: 4 * size }, (_, index) => Math.sin(step * index));
    return floatTensor(shape, data);
  };
  return { ...stored, additions: [{ scale: 0.1, up: matrix([size, 4], 2), down: matrix([4, size], 3) }] };
}

/** More weights than one thread works out: in fp32 and in int8, with what a LoRA adds and without. */
function prepared(count = 24): Model {
  const graph = createGraph("prepared");
  let y = addInput(graph, "x", "float32", [1, size]);
  for (let index = 0; index < count; index++) {
    const source = index % 2 === 0 ? stored : lora();
    const { bytes, scales } = addInt8Matrix(graph, `int8.${index}`, source);
    y = matMulIntegerToFloat(dynamicQuantizeLinear(y), bytes, scales);
    if (index < 2) y = gemm(y, addFloatWeight(graph, `fp32.${index}`, source));
  }
  addOutput(graph, "y", y);
  return {
    name: "prepared",
    bytes: serialise(graph),
    inParts: (parts) => splitGraph(graph, parts).map(serialise),
    weightsFolder: folder,
    prepared: graph.prepared,
  };
}

async function outputOf(engine: Engine) {
  const session = await engine.load(prepared());
  const { y } = await session.run({ x });
  await session.release();
  return y!.data as Float32Array;
}

it("gives what sessions give that were made by several threads, of prepared weights in each form", async () => {
  const expected = await outputOf(free);
  expect(events.filter((event) => event === "made by a thread that prepares weights")).toHaveLength(2);
  expect(events).not.toContain("made by the engine's thread: prepared");
  events.length = 0;
  const output = await outputOf(bound);
  expect(events).not.toContain("made by a thread that prepares weights");
  expect(events.filter((event) => event.endsWith(": prepared"))).toHaveLength(1);
  expect(output).toEqual(expected);
  expect(output.some((value) => value !== 0)).toBe(true);
});

it("makes other sessions in the same thread", async () => {
  const session = await bound.load({ name: "stored", bytes: matMulChain(8, 2) });
  expect(events).toEqual(["made by the engine's thread: stored"]);
  await session.release();
});

/** Until the engine's thread is asked to make the session whose weights are there. */
async function untilMaking(): Promise<void> {
  while (!events.includes("made by the engine's thread: prepared")) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const during = [
  ["while weights are worked out", () => new Promise<void>((resolve) => setTimeout(resolve, 20))],
  ["while the session is made", untilMaking],
] as const;

it.each(during)("is ended by a signal %s, after which the engine works", async (_, moment) => {
  const controller = new AbortController();
  const loading = bound.load(prepared(), { signal: controller.signal });
  const failed = expect(loading).rejects.toMatchObject({ code: "aborted", cause: new Error("enough") });
  await moment();
  controller.abort(new Error("enough"));
  await failed;
  expect((await outputOf(bound)).every(Number.isFinite)).toBe(true);
});

it.each(during)("is ended by the engine's end %s", async (_, moment) => {
  const engine = await createOrtEngine({ threads: 2, provider: { ...cpuProvider, isThreadBound: true } });
  const loading = engine.load(prepared());
  const failed = expect(loading).rejects.toMatchObject({ code: "engine", message: "the engine was disposed" });
  await moment();
  await engine.dispose();
  await failed;
});
