/** Golden: python -m reference.golden pipeline (reference/golden/pipeline.py), diffusers 0.42.1 */
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { loadImage } from "../../../src/node/image/load-image.ts";
import { readSafetensors } from "../../../src/node/weights.ts";
import { encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import { checkpoint, picture, scratchFolder, stillmotionHere } from "../command.ts";

/** A checkpoint with a golden file as reference/golden/doctor.py writes it, made of numbers that diffusers gave for a test. */
async function checkpointWithGolden(change: (latents: Float32Array) => void = () => {}): Promise<string> {
  const folder = await scratchFolder();
  await cp(checkpoint, folder, { recursive: true });
  const { tensors, metadata } = await readSafetensors("test/pipeline/golden/one-step.safetensors");
  const { image: _, ...call } = JSON.parse(metadata.call!);
  const { width, height, data } = await loadImage(picture);
  const { "latents.step0": latents, frames } = tensors;
  change(latents!.data as Float32Array);
  const image = { dtype: "uint8", shape: [height, width, 3], data } as const;
  const { tolerance } = JSON.parse(metadata.case!);
  const recipe = { call: JSON.stringify(call), tolerance: JSON.stringify(tolerance), versions: metadata.versions! };
  const golden = encodeSafetensors({ image, latents: latents!, frames: frames! }, recipe);
  await writeFile(join(folder, "golden.safetensors"), golden);
  return folder;
}

afterEach(() => {
  vi.unstubAllEnvs();
});

it("finds a sound installation sound", async () => {
  const folder = await checkpointWithGolden();
  const { code, stdout, stderr } = await stillmotionHere(["doctor", "--model", folder]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(
    /^stillmotion +\d+\.\d+\.\d+\nnode +\d+\.\d+\.\d+ \(\w+ \w+\)\ncpu +.+, \d+ threads?\nmemory +/,
  );
  expect(stdout).toMatch(/^OK {3}onnxruntime: 1\.30\.0, .*libonnxruntime/m);
  expect(stdout).toMatch(/^OK {3}CPUExecutionProvider: starts$/m);
  expect(stdout).toMatch(/^OK {3}parity: as diffusers 0\.42\.1: latents differ by [\d.e-]+ at most/m);
});

it("fails where the numbers are wrong, and says by how much", async () => {
  const folder = await checkpointWithGolden((latents) => {
    const largest = latents.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    latents[5]! += 0.01 * largest;
  });
  const { code, stdout } = await stillmotionHere(["doctor", "--model", folder, "--json"]);
  expect(code).toBe(1);
  const { ok, checks } = JSON.parse(stdout);
  expect(ok).toBe(false);
  const parity = checks.find(({ name }: { name: string }) => name === "parity");
  expect(parity).toMatchObject({ state: "failed" });
  expect(parity.detail).toMatch(/^latents differ by .* at most, .* on average; expected at most .* wrong numbers/);
});

it("fails without the library or the golden values", async () => {
  const withoutGolden = await stillmotionHere(["doctor", "--model", checkpoint]);
  expect(withoutGolden.code).toBe(1);
  expect(withoutGolden.stdout).toMatch(/^FAIL parity: .*golden\.safetensors: cannot be opened/m);

  vi.stubEnv("ORT_LIBRARY", "/nowhere/libonnxruntime.so");
  const withoutLibrary = await stillmotionHere(["doctor"]);
  expect(withoutLibrary.code).toBe(1);
  expect(withoutLibrary.stdout).toMatch(/^FAIL onnxruntime: \/nowhere\/libonnxruntime\.so cannot be loaded/m);
});
