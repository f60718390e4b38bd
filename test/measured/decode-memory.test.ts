/** How much memory does decoding take, by the frames that it takes at a time? Asked of the program that `npm run bench` measures. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Measurement } from "../../bench/measurement.ts";
import { runForJson } from "../../bench/process.ts";
import { floatTensor } from "../../src/tensor.ts";
import { encodeSafetensors } from "../../src/weights/safetensors/safetensors.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "decode-memory-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Of a process of its own. */
async function peakMegabytes(latents: string, window: number): Promise<number> {
  const checkpoint = join("test", "checkpoints", "two-levels-fp32");
  const files = [checkpoint, latents, join(folder, "frames.safetensors")];
  const options = ["--threads", "2", "--runs", "0", "--dtype", "fp32", "--window", String(window)];
  const program = join("bench", "decode-stillmotion.ts");
  return ((await runForJson(process.execPath, [program, ...files, ...options])) as Measurement).peakBytes / 1e6;
}

it("decoding takes less memory the fewer frames it takes at a time", async () => {
  const latents = join(folder, "latents.safetensors");
  await writeFile(latents, encodeSafetensors({ latents: floatTensor([12, 4, 40, 40]) })); // 12 frames of 160x160
  const [atOnce, four, one] = [
    await peakMegabytes(latents, 12),
    await peakMegabytes(latents, 4),
    await peakMegabytes(latents, 1),
  ];
  const figures = `12 frames ${atOnce} MB, 4 frames ${four} MB, 1 frame ${one} MB`;
  // A frame of the last level is 3.3 MB; a decoder holds at least four such maps at once: 106 MB for eight frames.
  expect(atOnce - four, figures).toBeGreaterThan(105);
  expect(four - one, figures).toBeGreaterThan(25);
});
