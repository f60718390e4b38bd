/**
 * Is the thread of the caller free while a network runs? A callback there must be about as punctual as one in a thread that has
 * nothing to do: what other processes take of the machine holds up both.
 */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { createOrtEngine } from "../../src/engine/ort/ort-engine.ts";
import { StableVideoDiffusionPipeline } from "../../src/node/stable-video-diffusion.ts";
import { floatTensor } from "../../src/tensor.ts";
import { endlessModel, endlessSize } from "../engine/ort/test-models.ts";
import { picture } from "../support/picture.ts";

const intervalMs = 10;

/** Starts a timer, and gives a function that stops it and says how late each of its ticks was. In this thread and the idle one. */
const startTimer = () => {
  const latenessMs: number[] = [];
  let expectedAt = performance.now() + intervalMs;
  const timer = setInterval(() => {
    const now = performance.now();
    latenessMs.push(Math.max(0, now - expectedAt));
    expectedAt = now + intervalMs;
  }, intervalMs);
  return () => {
    clearInterval(timer);
    return latenessMs;
  };
};

const idleProgram = `
  const { parentPort } = require("node:worker_threads");
  const intervalMs = ${intervalMs};
  const stopTimer = (${startTimer})();
  parentPort.postMessage("started");
  parentPort.once("message", () => parentPort.postMessage(stopTimer()));`;

/** How late the ticks were in the caller's thread and in an idle one while `work` was under way. */
async function latenessDuring(work: () => Promise<unknown>) {
  const worker = new Worker(idleProgram, { eval: true });
  const answer = () => new Promise<number[]>((resolve) => worker.once("message", resolve));
  await answer();
  const stopTimer = startTimer();
  await work();
  const caller = stopTimer();
  worker.postMessage("stop");
  const idle = await answer();
  await worker.terminate();
  return { caller, idle };
}

/** In which part of the time a callback would have waited for more than 50 ms. */
function heldUpShare(latenessMs: readonly number[]): number {
  const beyondMs = latenessMs.reduce((sum, late) => sum + Math.max(0, late - 50), 0);
  return beyondMs / latenessMs.reduce((sum, late) => sum + intervalMs + late, 0);
}

/** Twice what is lost by itself, which is nothing on a machine that is quiet, and a little more. */
const mostFor = (idle: readonly number[], more: number) => 2 * heldUpShare(idle) + more;

it("is free 99 % of the time while a graph runs", async () => {
  const engine = await createOrtEngine();
  const session = await engine.load(endlessModel());
  const { caller, idle } = await latenessDuring(async () => {
    const run = session.run({ x: floatTensor([endlessSize, endlessSize]) }, { signal: AbortSignal.timeout(2000) });
    await expect(run).rejects.toMatchObject({ code: "aborted" });
  });
  await engine.dispose();
  expect(idle.length).toBeGreaterThan(20);
  expect(heldUpShare(caller), `of ${caller.length} ticks`).toBeLessThan(mostFor(idle, 0.01));
});

it("is free 95 % of the time while a clip is made", async () => {
  const folder = join(import.meta.dirname, "..", "checkpoints", "two-levels-fp32");
  await using pipe = await StableVideoDiffusionPipeline.fromPretrained(folder, { threads: 2 });
  // Graphs are written in one go at the start, some 150 ms of the whole.
  const size = { width: 192, height: 128, numFrames: 8, numInferenceSteps: 10, seed: 3 };
  const { caller, idle } = await latenessDuring(() => pipe.generate(picture, size));
  expect(idle.length).toBeGreaterThan(20);
  expect(heldUpShare(caller), `of ${caller.length} ticks`).toBeLessThan(mostFor(idle, 0.05));
});
