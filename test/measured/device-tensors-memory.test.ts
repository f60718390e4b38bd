/** Is the memory of outputs that stay on the device given back, by whatever ends them? */
import { expect, it } from "vitest";
import type { DeviceTensor, Engine } from "../../src/engine/engine.ts";
import { createOrtEngine } from "../../src/engine/ort/ort-engine.ts";
import { floatTensor } from "../../src/tensor.ts";
import { identityModel, matMulChain, model, node, value } from "../engine/ort/test-models.ts";

const size = 2048; // 17 MB a product
const productBytes = 4 * size * size;
const chain = { name: "chain", bytes: matMulChain(size, 3) };
const ones = floatTensor([size, size], new Float32Array(size * size).fill(1));
const rss = () => process.memoryUsage.rss();

it("memory of outputs that stay is given back by their release, and by the engine's end for those that were left", async () => {
  const keepSome = async (engine: Engine, count: number): Promise<DeviceTensor[]> => {
    const session = await engine.load({ name: "large", bytes: identityModel("float32", [size, size]) });
    const kept: DeviceTensor[] = [];
    for (let i = 0; i < count; i++) kept.push((await session.run({ x: ones }, { keep: ["y"] })).y);
    return kept;
  };
  const engine = await createOrtEngine({ threads: 1 });
  const kept = await keepSome(engine, 8);
  let before = rss();
  for (const tensor of kept) await tensor.release();
  expect(before - rss()).toBeGreaterThan(6 * productBytes);
  await keepSome(engine, 8);
  before = rss();
  await engine.dispose();
  expect(before - rss()).toBeGreaterThan(6 * productBytes);
});

it("memory of outputs that stay is none of a workspace's, which ends before them", async () => {
  const engine = await createOrtEngine({ threads: 2 });
  const workspace = await engine.openWorkspace({ tensorBytes: 0, runBytes: 2 * productBytes });
  expect(workspace.servesRuns).toBe(true);
  const session = await engine.load(chain, { workspace });
  const { y } = await session.run({ x: ones }, { keep: ["y"] });
  await session.release();
  const before = rss();
  await workspace.release();
  // In the arena were the two products between.
  expect(before - rss()).toBeGreaterThan(1.5 * productBytes);
  expect((await y.read()).data[7]).toBe(size ** 3);
  const next = await engine.openWorkspace({ tensorBytes: 0, runBytes: productBytes });
  expect(next.servesRuns).toBe(true);
  await next.release();
  await engine.dispose();
});

it("memory of outputs that stay is given back by a run that fails", async () => {
  const engine = await createOrtEngine({ threads: 1 });
  const bytes = model({
    inputs: [value("x", "float32", [size, size]), value("row", "int64", [1])],
    outputs: [value("y", "float32", [size, size]), value("z", "float32", [1, size])],
    nodes: [node("Add", ["x", "x"], ["y"]), node("Gather", ["y", "row"], ["z"])],
  });
  const session = await engine.load({ name: "row", bytes });
  const run = (row: bigint) => {
    const inputs = { x: ones, row: { dtype: "int64", shape: [1], data: BigInt64Array.of(row) } } as const;
    return session.run(inputs, { keep: ["y"] });
  };
  await (await run(0n)).y.release();
  const before = rss();
  for (let i = 0; i < 5; i++) await expect(run(9999n)).rejects.toMatchObject({ code: "engine" });
  expect(rss() - before).toBeLessThan(2.5 * productBytes);
  await engine.dispose();
});
