/** Which layers and LoRAs do tests of memory take? Large ones of few different numbers. */
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { disk } from "../../../src/node/files/disk.ts";
import { readLoras } from "../../../src/options/loras.ts";
import { elementCount, floatTensor, type Tensor } from "../../../src/tensor.ts";
import { withLoras } from "../../../src/weights/lora/place-lora.ts";
import { encodeSafetensors } from "../../../src/weights/safetensors/safetensors.ts";
import type { Component, WeightEntry } from "../../../src/weights/types.ts";
import { scratchFolder } from "../../cli/command.ts";

export const filled = (shape: readonly [number, number], value: number): Tensor =>
  floatTensor(shape, new Float32Array(shape[0] * shape[1]).fill(value));

/** Layers `l0`, `l1` ... of `size` x `size` weights, all 0 in their file, to each of which a LoRA adds 2 x rank. */
export async function layersWithLora(size: number, count: number, rank: number) {
  const folder = await scratchFolder();
  await writeFile(join(folder, "weights.bin"), new Uint8Array(4 * size * size));
  const names = Array.from({ length: count }, (_, index) => `l${index}`);
  const tensors = new Map(
    names.map((name): [string, WeightEntry] => {
      const sizeBytes = 4 * size * size;
      const entry = { dtype: "float32", shape: [size, size], file: "weights.bin", offset: 0, sizeBytes } as const;
      return [`${name}.weight`, { name: `${name}.weight`, ...entry }];
    }),
  );
  const component: Component = { name: "unet", config: {}, weightsFolder: folder, tensors };
  const halves = names.flatMap((name): [string, Tensor][] => [
    [`${name}.lora_A.weight`, filled([rank, size], 1)],
    [`${name}.lora_B.weight`, filled([size, rank], 2)],
  ]);
  const path = join(folder, "lora.safetensors");
  await writeFile(path, encodeSafetensors(Object.fromEntries(halves)));
  return withLoras(component, await readLoras([{ path }], disk));
}

/** A LoRA for `conv_in` whose numbers are all 0, which take no room on the disk. */
export async function writeEmptyLora(
  path: string,
  { outputs, inputs, rank }: { outputs: number; inputs: readonly number[]; rank: number },
): Promise<number> {
  const middle = 4 * rank * elementCount(inputs);
  const end = middle + 4 * rank * outputs;
  const header = JSON.stringify({
    "conv_in.lora_A.weight": { dtype: "F32", shape: [rank, ...inputs], data_offsets: [0, middle] },
    "conv_in.lora_B.weight": { dtype: "F32", shape: [outputs, rank], data_offsets: [middle, end] },
  });
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(BigInt(header.length));
  await writeFile(path, Buffer.concat([start, Buffer.from(header)]));
  await truncate(path, 8 + header.length + end);
  return end;
}
