/** Does a file that was made to take long take no time? Each bound is far above what it takes, and far below what it could. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openCheckpoint, openUnetFile } from "../../src/node/weights.ts";
import { checkTensors } from "../../src/pipeline/networks.ts";
import { pathPattern } from "../../src/weights/lora/path-pattern.ts";
import { parseSafetensorsHeader } from "../../src/weights/safetensors/safetensors.ts";
import { safetensorsFile } from "../hostile/safetensors.ts";
import { networksOf } from "../support/platform.ts";
import { readStored, unetOfLevels, writeTensors } from "../weights/single-file/layouts.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hostile-time-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function millisecondsOf(work: () => unknown): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

it("a header with ten times the tensors takes about ten times as long", async () => {
  const header = (count: number) => {
    const members = Array.from({ length: count }, (_, i) => `"${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`);
    return safetensorsFile(`{${members.join()}}`);
  };
  const timed = (bytes: Uint8Array) => millisecondsOf(() => parseSafetensorsHeader(bytes, bytes.length, "x"));
  const [small, large] = [header(4000), header(40_000)];
  await timed(small);
  const one = Math.min(await timed(small), await timed(small));
  const ten = Math.min(await timed(large), await timed(large));
  expect(ten, `${one.toFixed()} ms for 4,000 tensors, ${ten.toFixed()} ms for 40,000`).toBeLessThan(40 * one + 50);
});

it("a tensor's name of a megabyte", async () => {
  const name = `model.diffusion_model.input_blocks.0.0${".a".repeat(500_000)}`;
  const one = { dtype: "float32", shape: [1], data: new Float32Array(1) } as const;
  const path = await writeTensors(join(folder, "svd.safetensors"), { ...(await readStored()), [name]: one });
  const open = async () => checkTensors(networksOf(await openCheckpoint(path)));
  const refused = async () => expect(open()).rejects.toMatchObject({ code: "invalid-checkpoint" });
  expect(await millisecondsOf(refused)).toBeLessThan(5_000);
});

it("a UNet of 60,000 levels", async () => {
  const path = await writeTensors(join(folder, "unet.safetensors"), unetOfLevels(60_000));
  const refused = async () => expect(openUnetFile(path)).rejects.toMatchObject({ code: "invalid-checkpoint" });
  expect(await millisecondsOf(refused)).toBeLessThan(5_000);
});

it("a regular expression of a LoRA", async () => {
  const fits = pathPattern(`${".*a".repeat(80)}$`)!;
  const path = `${"a".repeat(79)}${"b".repeat(900)}`;
  expect(await millisecondsOf(() => expect(fits(path)).toBe(false))).toBeLessThan(1000);
});
