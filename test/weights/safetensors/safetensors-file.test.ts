import { execFileSync } from "node:child_process";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { disk } from "../../../src/node/files/disk.ts";
import { readSafetensors, readSafetensorsHeader } from "../../../src/node/weights.ts";
import { encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import { readTensor } from "../../../src/weights/safetensors/safetensors-file.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stillmotion-safetensors-"));
});
afterAll(() => rm(folder, { recursive: true }));

const latents = { dtype: "float32", shape: [1, 2, 3], data: Float32Array.of(1, -2, 3, 4, 5, 6.5) } as const;

test("a small file is read whole", async () => {
  const path = join(folder, "latents.safetensors");
  await writeFile(path, encodeSafetensors({ latents }, { seed: "42" }));
  const { tensors, metadata } = await readSafetensors(path);
  expect(tensors.latents).toEqual(latents);
  expect({ ...metadata }).toEqual({ seed: "42" });
});

test("one tensor is read whole, or refused when the file became shorter", async () => {
  const path = join(folder, "shrinks.safetensors");
  await writeFile(path, encodeSafetensors({ before: latents, latents }));
  const { entries } = await readSafetensorsHeader(path);
  const entry = entries.get("latents")!;
  expect((await readTensor(disk, path, entry)).data).toEqual(latents.data);
  await truncate(path, entry.offset + entry.sizeBytes - 1);
  await expect(readTensor(disk, path, entry)).rejects.toMatchObject({
    code: "invalid-checkpoint",
    message: `${path}: became shorter while it was read`,
  });
});

test("a file too large for memory is not read whole", async () => {
  const path = join(folder, "huge.safetensors");
  await writeFile(path, "");
  await truncate(path, 2 ** 31 + 1); // sparse
  await expect(readSafetensors(path)).rejects.toThrow(
    "huge.safetensors: is 2147483649 bytes long, at most 2147483648 are read into memory",
  );
});

test("of a large file only the header is read", async () => {
  const path = join(folder, "large.safetensors");
  const sizeBytes = 64 * 2 ** 30;
  const header = `{"a":{"dtype":"F16","shape":[${sizeBytes / 2}],"data_offsets":[0,${sizeBytes}]}}`;
  const start = new Uint8Array(8 + header.length);
  new DataView(start.buffer).setBigUint64(0, BigInt(header.length), true);
  start.set(new TextEncoder().encode(header), 8);
  await writeFile(path, start);
  await truncate(path, start.length + sizeBytes); // sparse
  const { entries } = await readSafetensorsHeader(path);
  expect(entries.get("a")).toEqual({
    name: "a",
    dtype: "F16",
    shape: [sizeBytes / 2],
    offset: start.length,
    sizeBytes,
  });
});

test("a header that promises more than the file holds costs no memory", async () => {
  const path = join(folder, "promises.safetensors");
  await writeFile(path, Uint8Array.of(0, 0, 0x7d, 1, 0, 0, 0, 0, 0x7b, 0x7d)); // 24 MB
  await expect(readSafetensorsHeader(path)).rejects.toThrow(
    `${path}: is 10 bytes long, its header promises at least ${8 + 0x17d0000}: is this half a download?`,
  );
});

test("what is not a file is refused, and nothing hangs", async () => {
  await expect(readSafetensorsHeader(join(folder, "none"))).rejects.toThrow(
    "none: cannot be opened (ENOENT: no such file or directory)",
  );
  await expect(readSafetensorsHeader(folder)).rejects.toThrow("is a folder, expected a .safetensors file");
  if (process.platform === "win32") return;
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  await expect(readSafetensorsHeader(pipe)).rejects.toThrow("is not a regular file, expected a .safetensors file");
});
