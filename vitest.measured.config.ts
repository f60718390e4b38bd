/** Tests of time and memory: one file after the other, so that nothing else of ours takes the machine; each test once. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["test/measured/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 60_000, maxWorkers: 1 },
});
