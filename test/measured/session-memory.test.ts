/** Is the memory of sessions given back, whatever becomes of them? */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { createOrtEngine } from "../../src/engine/ort/ort-engine.ts";
import { floatTensor } from "../../src/tensor.ts";
import { chain, products, writeWeights } from "../engine/ort/prepared-models.ts";
import { halfPrecisionProduct } from "../engine/ort/test-models.ts";

const folder = mkdtempSync(join(tmpdir(), "session-memory-"));
let engine: Engine;
beforeAll(async () => {
  engine = await createOrtEngine({ threads: 2 });
});
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});

const residentMB = () => process.memoryUsage().rss / 1e6;

it("fifty sessions of 50 MB, one after the other, leave resident memory flat", async () => {
  const size = 3600; // 26 MB in the file, 52 MB in the session
  writeFileSync(join(folder, "weights.bin"), new Uint16Array(size * size).fill(0x2000));
  const model = { name: "weights", bytes: halfPrecisionProduct(size, "weights.bin"), weightsFolder: folder };
  const inputs = { x: floatTensor([4, size]) };
  const loadedMB: number[] = [];
  const releasedMB: number[] = [];
  for (let i = 0; i < 50; i++) {
    const session = await engine.load(model);
    await session.run(inputs);
    loadedMB.push(residentMB());
    await session.release();
    releasedMB.push(residentMB());
  }
  const figures = `after each release: ${releasedMB.map((size) => size.toFixed(0)).join(" ")} MB`;
  expect(Math.min(...loadedMB) - Math.max(...releasedMB), figures).toBeGreaterThan(20);
  // Forty-five sessions between the two figures: the sum of what each left behind is less than one session's weights.
  expect(Math.max(...releasedMB.slice(-5)) - Math.max(...releasedMB.slice(0, 5)), figures).toBeLessThan(25);
});

describe("weights that were worked out before", () => {
  it("leave nothing behind but what the session holds", async () => {
    const weights = { folder, file: "memory.bin", size: 1024, count: 48 };
    const weightsMB = (weights.size ** 2 * weights.count) / 1e6;
    writeWeights(weights);
    const [loaded, released]: [number[], number[]] = [[], []];
    for (let round = 0; round < 4; round++) {
      const session = await engine.load(products(weights));
      loaded.push(residentMB());
      await session.release();
      released.push(residentMB());
    }
    // The bytes once, where they were worked out. A copy of the session's own would make it twice as much.
    const grown = loaded.slice(1).map((each, round) => each - released[round]!);
    expect(Math.min(...grown), grown.join(" ")).toBeLessThan(1.5 * weightsMB);
    expect(released.at(-1)! - released[0]!, released.join(" ")).toBeLessThan(0.5 * weightsMB);
  });

  it("leave nothing behind where the model is loaded in parts", async () => {
    const weights = { folder, file: "chain.bin", size: 1024, count: 36 };
    const weightsMB = (weights.size ** 2 * weights.count) / 1e6;
    writeWeights({ ...weights, count: 1 });
    const x = floatTensor(
      [1, weights.size],
      Float32Array.from({ length: weights.size }, (_, index) => Math.sin(index)),
    );
    const released: number[] = [];
    for (let round = 0; round < 4; round++) {
      const session = await engine.load(chain(weights));
      await session.run({ x });
      await session.release();
      released.push(residentMB());
    }
    expect(released.at(-1)! - released[0]!, released.join(" ")).toBeLessThan(0.5 * weightsMB);
  });

  it("are given back by an engine that ends, while they are worked out and while a session holds them", async () => {
    const weights = { folder, file: "disposed.bin", size: 1024, count: 36 };
    const weightsMB = (weights.size ** 2 * weights.count) / 1e6;
    writeWeights(weights);
    const held = await createOrtEngine({ threads: 2 });
    await held.load(products(weights));
    await held.dispose();
    const before = residentMB();
    for (let round = 0; round < 3; round++) {
      const own = await createOrtEngine({ threads: 2 });
      if (round > 0) await own.load(products(weights));
      const loading = own.load(products(weights));
      const failed = expect(loading).rejects.toMatchObject({ code: "engine", message: "the engine was disposed" });
      await new Promise((resolve) => setTimeout(resolve, 50));
      await own.dispose();
      await failed;
    }
    expect(residentMB() - before).toBeLessThan(1.5 * weightsMB); // of five blocks
  });
});
