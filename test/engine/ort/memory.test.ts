import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { createOrtEngine } from "../../../src/engine/ort/ort-engine.ts";
import { floatTensor } from "../../../src/tensor.ts";
import { halfPrecisionProduct } from "./test-models.ts";

const folder = mkdtempSync(join(tmpdir(), "engine-memory-"));
afterAll(() => rmSync(folder, { recursive: true }));

it("fifty sessions of 50 MB, one after the other, leave resident memory flat", { timeout: 120_000 }, async () => {
  const size = 3600; // 26 MB in the file, 52 MB in the session
  writeFileSync(join(folder, "weights.bin"), new Uint16Array(size * size).fill(0x2000));
  const model = { name: "weights", bytes: halfPrecisionProduct(size, "weights.bin"), weightsFolder: folder };
  const inputs = { x: floatTensor([4, size]) };
  const engine = await createOrtEngine({ threads: 2 });
  const loadedMB: number[] = [];
  const releasedMB: number[] = [];
  for (let i = 0; i < 50; i++) {
    const session = await engine.load(model);
    await session.run(inputs);
    loadedMB.push(process.memoryUsage().rss / 1e6);
    await session.release();
    releasedMB.push(process.memoryUsage().rss / 1e6);
  }
  await engine.dispose();
  const figures = `after each release: ${releasedMB.map((size) => size.toFixed(0)).join(" ")} MB`;
  expect(Math.min(...loadedMB) - Math.max(...releasedMB), figures).toBeGreaterThan(20);
  // Forty-five sessions between the two figures: the sum of what each left behind is less than one session's weights.
  expect(Math.max(...releasedMB.slice(-5)) - Math.max(...releasedMB.slice(0, 5)), figures).toBeLessThan(25);
});
