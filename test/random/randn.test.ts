/** Golden: python -m reference.golden random (reference/golden/random.py), torch 2.15.0 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readSafetensorsHeader } from "../../src/node/weights.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { randn } from "../../src/random/randn.ts";

const folder = join(import.meta.dirname, "golden");
const seedFiles = readdirSync(folder).filter((name) => name.startsWith("seed-"));

type Noise = "float32" | "float16";

/** A golden file's metadata, and its tensors as they are stored. */
async function readStored(name: string) {
  const path = join(folder, name);
  const { entries, metadata } = await readSafetensorsHeader(path);
  const file = readFileSync(path);
  const bytesOf = (tensor: string): ArrayBuffer => {
    const { offset, sizeBytes } = entries.get(tensor)!;
    return file.buffer.slice(file.byteOffset + offset, file.byteOffset + offset + sizeBytes);
  };
  return {
    seed: BigInt(metadata.seed!),
    details: JSON.parse(metadata.case!),
    names: [...entries.keys()],
    uint32: (tensor: string) => new Uint32Array(bytesOf(tensor)),
    noise: (tensor: string, dtype: Noise) =>
      dtype === "float32" ? new Float32Array(bytesOf(tensor)) : new Uint16Array(bytesOf(tensor)),
  };
}

/** How many representable numbers apart two values are; their bits in order of size. */
function largestUlps(actual: Float32Array | Uint16Array, expected: Float32Array | Uint16Array): number {
  expect(actual.length).toBe(expected.length);
  const [a, b] = [ordered(actual), ordered(expected)];
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
}

function ordered(values: Float32Array | Uint16Array): number[] {
  if (values instanceof Uint16Array) return Array.from(values, (bits) => (bits & 0x8000 ? -(bits & 0x7fff) : bits));
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  return Array.from(bits, (value) => (value < 0 ? -(value & 0x7fffffff) : value));
}

test.each(seedFiles)("%s: the generator's stream is torch's, bit for bit", async (file) => {
  const stored = await readStored(file);
  const { nextUint32 } = createGenerator(stored.seed);
  const expected = stored.uint32("raw");
  expect(Uint32Array.from(expected, nextUint32)).toEqual(expected);
});

test.each(seedFiles)("%s: normals of every size are torch's within 2 ulp", async (file) => {
  const stored = await readStored(file);
  const names = stored.names.filter((name) => name.startsWith("randn."));
  expect(names.length).toBeGreaterThanOrEqual(12);
  for (const name of names) {
    const [, dtype, size] = name.split(".") as [string, Noise, string];
    const noise = randn(createGenerator(stored.seed), [Number(size)], dtype);
    expect(noise.dtype).toBe(dtype);
    expect(largestUlps(noise.data, stored.noise(name, dtype)), `ulp of ${name}`).toBeLessThanOrEqual(2);
  }
});

test("draws one after the other continue as torch's do, also across sizes and dtypes", async () => {
  const stored = await readStored("sequences.safetensors");
  const sequences = Object.entries(stored.details.sequences as Record<string, [number, Noise][]>);
  expect(sequences.length).toBeGreaterThan(5);
  for (const [name, draws] of sequences) {
    const generator = createGenerator(stored.seed);
    draws.forEach(([size, dtype], i) => {
      const noise = randn(generator, [size], dtype);
      const ulps = largestUlps(noise.data, stored.noise(`${name}.${i}`, dtype));
      expect(ulps, `ulp of draw ${i} of ${name}`).toBeLessThanOrEqual(2);
    });
  }
});

test("the shape orders the values row by row and changes none", () => {
  const flat = randn(createGenerator(5), [48], "float32");
  const shaped = randn(createGenerator(5), [2, 3, 8], "float32");
  expect(shaped.shape).toEqual([2, 3, 8]);
  expect(shaped.data).toEqual(flat.data);
  expect(randn(createGenerator(5), [0, 3], "float32").data.length).toBe(0);
});

test("a million normals have mean 0, variance 1 and normal tails", () => {
  const { data } = randn(createGenerator(9), [1_000_000], "float32");
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
  const variance = data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length;
  const beyondTwo = data.reduce((count, value) => count + (Math.abs(value) > 2 ? 1 : 0), 0) / data.length;
  expect(Math.abs(mean)).toBeLessThan(0.004);
  expect(Math.abs(variance - 1)).toBeLessThan(0.006);
  expect(Math.abs(beyondTwo - 0.0455)).toBeLessThan(0.001);
});
