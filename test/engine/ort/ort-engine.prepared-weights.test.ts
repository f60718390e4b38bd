/** Do sessions start with weights that were worked out before, and what becomes of those that are given up? */
import { mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Engine } from "../../../src/engine/engine.ts";
import { createOrtEngine } from "../../../src/engine/ort/ort-engine.ts";
import { floatTensor } from "../../../src/tensor.ts";
import { chain, ones, products, writeWeights } from "./prepared-models.ts";

const folder = mkdtempSync(join(tmpdir(), "prepared-weights-"));
let engine: Engine;
beforeAll(async () => {
  engine = await createOrtEngine({ threads: 2 });
});
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});

it("in several threads, each weight once, from where it lies in the file", async () => {
  const [size, count] = [1024, 36]; // 38 million weights: more than one thread
  const weights = { folder, file: "several.bin", size, count };
  writeWeights(weights);
  const session = await engine.load(products(weights));
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

it("are given up by an engine that ends while they are worked out", async () => {
  const weights = { folder, file: "disposed.bin", size: 1024, count: 36 };
  writeWeights(weights);
  const own = await createOrtEngine({ threads: 2 });
  const loading = own.load(products(weights));
  const failed = expect(loading).rejects.toMatchObject({ code: "engine", message: "the engine was disposed" });
  await new Promise((resolve) => setTimeout(resolve, 50));
  await own.dispose();
  await failed;
});

it("refuse a file that is missing, or shorter than the weights in it", async () => {
  const model = (file: string) => products({ folder, file, size: 64, count: 2 });
  await expect(engine.load(model("nowhere.bin"))).rejects.toMatchObject({
    code: "invalid-checkpoint",
    message: expect.stringContaining("nowhere.bin"),
  });
  writeWeights({ folder, file: "short.bin", size: 64, count: 2 });
  truncateSync(join(folder, "short.bin"), 64 * 64 * 3);
  await expect(engine.load(model("short.bin"))).rejects.toMatchObject({
    code: "invalid-checkpoint",
    message: expect.stringMatching(/short\.bin ends before the tensor at byte 8192 does/),
  });
});

it("stop being worked out when a signal says so, after which the engine works", async () => {
  const weights = { folder, file: "stopped.bin", size: 1024, count: 64 };
  writeWeights(weights);
  const stopped = new AbortController();
  // A thread that is ended from outside while it loads koffi takes the process with it.
  const terminate = vi.spyOn(Worker.prototype, "terminate");
  const loading = engine.load(products(weights), { signal: stopped.signal });
  setTimeout(() => stopped.abort(new Error("enough")), 100);
  await expect(loading).rejects.toMatchObject({ code: "aborted", cause: new Error("enough") });
  expect(terminate).not.toHaveBeenCalled();
  const before = engine.load(products(weights), { signal: AbortSignal.abort() });
  await expect(before).rejects.toMatchObject({ code: "aborted" });
  const after = { folder, file: "after.bin", size: 64, count: 1 };
  writeWeights(after);
  const session = await engine.load(products(after));
  const { y0 } = await session.run(ones(64));
  expect((y0!.data as Float32Array)[0]).toBeCloseTo(64, 3);
  await session.release();
});

describe("a model of more weights than one thread works out", () => {
  const weights = { folder, file: "chain.bin", size: 1024, count: 36 };
  const { size } = weights;
  beforeAll(() => writeWeights({ ...weights, count: 1 }));
  const x = () => ({
    x: floatTensor(
      [1, size],
      Float32Array.from({ length: size }, (_, index) => Math.sin(index)),
    ),
  });

  it("is loaded in parts, which give together what the whole one gives", async () => {
    const inTwo = chain(weights);
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

  it.runIf(process.platform === "linux")("is waited for by its workspace when it was given up", async () => {
    const threads = () => readdirSync("/proc/self/task").length;
    const workspace = await engine.openWorkspace({ tensorBytes: 0, runBytes: 1e6 });
    const before = threads();
    const stopped = new AbortController();
    const loading = engine.load(chain(weights), { workspace, signal: stopped.signal });
    setTimeout(() => stopped.abort(new Error("enough")), 30);
    await expect(loading).rejects.toMatchObject({ code: "aborted" });
    await workspace.release();
    expect(threads() - before).toBeLessThan(2); // of at least two that load, and their pools
    const next = await engine.openWorkspace({ tensorBytes: 0, runBytes: 1e6 });
    expect(next.servesRuns).toBe(true);
    await next.release();
  });

  it("is an error when one part cannot be loaded, after which the engine works", async () => {
    const { inParts, ...model } = chain(weights);
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
    const session = await engine.load(chain(weights));
    const stopped = new AbortController();
    const running = session.run(x(), { signal: stopped.signal });
    stopped.abort(new Error("enough"));
    await expect(running).rejects.toMatchObject({ code: "aborted" });
    const { z } = await session.run(x());
    expect((z!.data as Float32Array)[1]).toBeCloseTo(2 * Math.sin(1), 6);
    await session.release();
  });
});
