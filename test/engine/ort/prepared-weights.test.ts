/** Do sessions start with weights that were worked out before, and is their memory given back whatever happens? */
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Engine, Model } from "../../../src/engine/engine.ts";
import { createOrtEngine } from "../../../src/engine/ort/ort-engine.ts";
import { float32ToFloat16 } from "../../../src/half.ts";
import { addInput, addInt8Matrix, addOutput, createGraph } from "../../../src/onnx/graph.ts";
import { add, dynamicQuantizeLinear, matMulIntegerToFloat } from "../../../src/onnx/ops.ts";
import { serialise } from "../../../src/onnx/serialise.ts";
import { splitGraph } from "../../../src/onnx/split-graph.ts";
import { floatTensor } from "../../../src/tensor.ts";

const folder = mkdtempSync(join(tmpdir(), "prepared-weights-"));
let engine: Engine;
beforeAll(async () => {
  engine = await createOrtEngine({ threads: 2 });
});
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});

/** y = x w for each of `count` weights (size, size) of a file that holds them as float16, one after the other. */
function products(size: number, count: number, file: string): Model {
  const graph = createGraph("products");
  const x = dynamicQuantizeLinear(addInput(graph, "x", "float32", [1, size]));
  for (let index = 0; index < count; index++) {
    const offset = 2 * index * size * size;
    const weight = { dtype: "float16", shape: [size, size], file, offset } as const;
    const { bytes, scales } = addInt8Matrix(graph, `w${index}`, weight);
    addOutput(graph, `y${index}`, matMulIntegerToFloat(x, bytes, scales));
  }
  const inParts = vi.fn((parts: number) => splitGraph(graph, parts).map(serialise));
  return { name: "products", bytes: serialise(graph), inParts, weightsFolder: folder, prepared: graph.prepared };
}

/** y = x w w ... for each of `count` such weights, and z = x. */
function chain(size: number, count: number, file: string): Model {
  const graph = createGraph("chain");
  const x = addInput(graph, "x", "float32", [1, size]);
  let y = x;
  for (let index = 0; index < count; index++) {
    const weight = { dtype: "float16", shape: [size, size], file, offset: 0 } as const;
    const { bytes, scales } = addInt8Matrix(graph, `w${index}`, weight);
    y = matMulIntegerToFloat(dynamicQuantizeLinear(y), bytes, scales);
  }
  addOutput(graph, "y", y);
  addOutput(graph, "z", add(x, x));
  const inParts = vi.fn((parts: number) => splitGraph(graph, parts).map(serialise));
  return { name: "chain", bytes: serialise(graph), inParts, weightsFolder: folder, prepared: graph.prepared };
}

/** Each output of weight i is i + 1 times the sum of x. */
function writeWeights(file: string, size: number, count: number): void {
  const values = Float32Array.from({ length: count }, (_, index) => index + 1);
  const halves = float32ToFloat16(values);
  const data = new Uint16Array(count * size * size);
  for (const [index, half] of halves.entries()) data.fill(half, index * size * size, (index + 1) * size * size);
  writeFileSync(join(folder, file), data);
}

const ones = (size: number) => ({ x: floatTensor([1, size], new Float32Array(size).fill(1)) });

it("in several threads, each weight once, from where it lies in the file", async () => {
  const [size, count] = [1024, 36]; // 38 million weights: more than one thread
  writeWeights("several.bin", size, count);
  const session = await engine.load(products(size, count, "several.bin"));
  for (let run = 0; run < 2; run++) {
    const outputs = await session.run(ones(size));
    for (let index = 0; index < count; index++) {
      const ratios = (outputs[`y${index}`]!.data as Float32Array).map((value) => value / ((index + 1) * size));
      expect([Math.min(...ratios), Math.max(...ratios)], `weight ${index}`).toEqual([
        expect.closeTo(1),
        expect.closeTo(1),
      ]);
    }
  }
  await session.release();
});

it("leave nothing behind but what the session holds", { timeout: 60_000 }, async () => {
  const [size, count] = [1024, 48];
  const weightsMB = (size * size * count) / 1e6;
  writeWeights("memory.bin", size, count);
  const residentMB = () => process.memoryUsage().rss / 1e6;
  const [loaded, released]: [number[], number[]] = [[], []];
  for (let round = 0; round < 4; round++) {
    const session = await engine.load(products(size, count, "memory.bin"));
    loaded.push(residentMB());
    await session.release();
    released.push(residentMB());
  }
  // The bytes once, where they were worked out. A copy of the session's own would make it twice as much.
  const grown = loaded.slice(1).map((each, round) => each - released[round]!);
  expect(Math.min(...grown), grown.join(" ")).toBeLessThan(1.5 * weightsMB);
  expect(released.at(-1)! - released[0]!, released.join(" ")).toBeLessThan(0.5 * weightsMB);
});

it("are given back by an engine that ends, while they are worked out and while a session holds them", async () => {
  const [size, count] = [1024, 36];
  writeWeights("disposed.bin", size, count);
  const held = await createOrtEngine({ threads: 2 });
  await held.load(products(size, count, "disposed.bin"));
  await held.dispose();
  const before = process.memoryUsage().rss / 1e6;
  for (let round = 0; round < 3; round++) {
    const own = await createOrtEngine({ threads: 2 });
    if (round > 0) await own.load(products(size, count, "disposed.bin"));
    const loading = own.load(products(size, count, "disposed.bin"));
    const failed = expect(loading).rejects.toMatchObject({ code: "engine", message: "the engine was disposed" });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await own.dispose();
    await failed;
  }
  const weightsMB = (size * size * count) / 1e6;
  expect(process.memoryUsage().rss / 1e6 - before).toBeLessThan(1.5 * weightsMB); // of five blocks
});

it("refuse a file that is missing, or shorter than the weights in it", async () => {
  const model = (file: string) => products(64, 2, file);
  await expect(engine.load(model("nowhere.bin"))).rejects.toMatchObject({
    code: "invalid-checkpoint",
    message: expect.stringContaining("nowhere.bin"),
  });
  writeWeights("short.bin", 64, 2);
  truncateSync(join(folder, "short.bin"), 64 * 64 * 3);
  await expect(engine.load(model("short.bin"))).rejects.toMatchObject({
    code: "invalid-checkpoint",
    message: expect.stringMatching(/short\.bin ends before the tensor at byte 8192 does/),
  });
});

it("stop being worked out when a signal says so, after which the engine works", async () => {
  const [size, count] = [1024, 64];
  writeWeights("stopped.bin", size, count);
  const stopped = new AbortController();
  // A thread that is ended from outside while it loads koffi takes the process with it.
  const terminate = vi.spyOn(Worker.prototype, "terminate");
  const loading = engine.load(products(size, count, "stopped.bin"), { signal: stopped.signal });
  setTimeout(() => stopped.abort(new Error("enough")), 100);
  await expect(loading).rejects.toMatchObject({ code: "aborted", cause: new Error("enough") });
  expect(terminate).not.toHaveBeenCalled();
  const before = engine.load(products(size, count, "stopped.bin"), { signal: AbortSignal.abort() });
  await expect(before).rejects.toMatchObject({ code: "aborted" });
  writeWeights("after.bin", 64, 1);
  const session = await engine.load(products(64, 1, "after.bin"));
  const { y0 } = await session.run(ones(64));
  expect((y0!.data as Float32Array)[0]).toBeCloseTo(64, 3);
  await session.release();
});

describe("a model of more weights than one thread works out", () => {
  const [size, count] = [1024, 36];
  const x = () => ({
    x: floatTensor(
      [1, size],
      Float32Array.from({ length: size }, (_, index) => Math.sin(index)),
    ),
  });

  it("is loaded in parts, which give together what the whole one gives", async () => {
    writeWeights("chain.bin", size, 1);
    const inTwo = chain(size, count, "chain.bin");
    const { inParts, ...whole } = inTwo;
    const session = await engine.load(inTwo);
    expect(inParts).toHaveBeenCalledExactlyOnceWith(2);
    const once = await engine.load(whole);
    const expected = await once.run(x());
    expect(Object.keys(expected)).toEqual(["y", "z"]);
    for (let run = 0; run < 2; run++) expect(await session.run(x())).toEqual(expected);
    await expect(session.run({})).rejects.toThrow("chain: no value for input x");
    await expect(session.run({ ...x(), v: x().x })).rejects.toThrow("chain: nothing is called v, there are x, ");
    for (const each of [session, once]) await each.release();
  });

  it("leaves nothing behind", { timeout: 60_000 }, async () => {
    writeWeights("chain.bin", size, 1);
    const weightsMB = (size * size * count) / 1e6;
    const residentMB: number[] = [];
    for (let round = 0; round < 4; round++) {
      const session = await engine.load(chain(size, count, "chain.bin"));
      await session.run(x());
      await session.release();
      residentMB.push(process.memoryUsage().rss / 1e6);
    }
    expect(residentMB.at(-1)! - residentMB[0]!, residentMB.join(" ")).toBeLessThan(0.5 * weightsMB);
  });

  it.runIf(process.platform === "linux")("is waited for by its workspace when it was given up", async () => {
    writeWeights("chain.bin", size, 1);
    const threads = () => readdirSync("/proc/self/task").length;
    const workspace = await engine.openWorkspace({ tensorBytes: 0, runBytes: 1e6 });
    const before = threads();
    const stopped = new AbortController();
    const loading = engine.load(chain(size, count, "chain.bin"), { workspace, signal: stopped.signal });
    setTimeout(() => stopped.abort(new Error("enough")), 30);
    await expect(loading).rejects.toMatchObject({ code: "aborted" });
    await workspace.release();
    expect(threads() - before).toBeLessThan(2); // of at least two that load, and their pools
    const next = await engine.openWorkspace({ tensorBytes: 0, runBytes: 1e6 });
    expect(next.servesRuns).toBe(true);
    await next.release();
  });

  it("is an error when one part cannot be loaded, after which the engine works", async () => {
    writeWeights("chain.bin", size, 1);
    const { inParts, ...model } = chain(size, count, "chain.bin");
    const broken = (parts: number) => inParts!(parts).with(1, new TextEncoder().encode("no graph"));
    await expect(engine.load({ ...model, inParts: broken })).rejects.toMatchObject({
      code: "engine",
      message: expect.stringMatching(/^chain: the graph could not be loaded: ONNX Runtime: /),
    });
    const session = await engine.load({ ...model, inParts: inParts! });
    await session.run(x());
    await session.release();
  });

  it("is ended while it runs when a signal says so", async () => {
    writeWeights("chain.bin", size, 1);
    const session = await engine.load(chain(size, count, "chain.bin"));
    const stopped = new AbortController();
    const running = session.run(x(), { signal: stopped.signal });
    stopped.abort(new Error("enough"));
    await expect(running).rejects.toMatchObject({ code: "aborted" });
    const { z } = await session.run(x());
    expect((z!.data as Float32Array)[1]).toBeCloseTo(2 * Math.sin(1), 6);
    await session.release();
  });
});
