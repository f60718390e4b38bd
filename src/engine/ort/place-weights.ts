/** Where do weights lie that are worked out before a session starts? In blocks of native memory that it reads. */
import { bytesText } from "../../byte-sizes.ts";
import { int8MatrixShape, type PreparedWeight } from "../../onnx/prepared.ts";
import { aligned, bytesPerElement, type DataType, elementCount } from "../../tensor.ts";
import { type Handle, nativeCells, type OrtApi } from "./api.ts";
import { allocateBlock, type NativeBlock } from "./native-block.ts";
import type { Preparation } from "./prepare-weight.ts";
import { defaultMemory, deviceAllocator } from "./session.ts";
import { valueOver } from "./values.ts";

/** An initializer in a block of native memory. */
interface Placed {
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly block: Block;
  readonly offset: number;
}

/** `matrices`: what a session may pack for itself, and then reads no longer. */
type Block = "matrices" | "others";

export interface PlacedWeights {
  /** What is to be worked out, and where to. */
  readonly preparations: readonly Preparation[];
  /** Gives the int8 matrices back: for when a session was made that has packed them. */
  freeMatrices(): void;
  /** Gives all of it back: for when there is no session that was made with the options, or no longer. */
  free(): void;
}

/**
 * Gives `sessionOptions` the memory of the weights, of which nothing is worked out yet: sessions read them where they are, from when
 * they are loaded.
 *
 * @throws StillmotionError `out-of-memory`
 */
export function placeWeights(
  api: OrtApi,
  sessionOptions: Handle,
  weights: readonly PreparedWeight[],
  name: string,
): PlacedWeights {
  const { placed, sizesBytes } = layOut(weights);
  const blocks = new Map<Block, NativeBlock>();
  const values = nativeCells(placed.length);
  const free = () => {
    for (const value of values) if (value !== 0n) api.ReleaseValue(value);
    for (const block of blocks.values()) block.free();
  };
  try {
    for (const [block, sizeBytes] of Object.entries(sizesBytes) as [Block, number][]) {
      if (sizeBytes === 0) continue;
      const memory = allocateBlock(
        api,
        sizeBytes,
        `${name}: no memory for ${bytesText(sizeBytes)} of prepared weights`,
      );
      blocks.set(block, memory);
    }
    const addresses = new Map(
      placed.map(({ name, block, offset }) => [name, blocks.get(block)!.address + BigInt(offset)]),
    );
    handOver(api, sessionOptions, placed, addresses, values);
    return {
      preparations: weights.map((weight) => ({ weight, ...targetsOf(weight, addresses) })),
      free,
      freeMatrices: () => blocks.get("matrices")?.free(),
    };
  } catch (error) {
    free();
    throw error;
  }
}

function layOut(weights: readonly PreparedWeight[]): { placed: Placed[]; sizesBytes: Record<Block, number> } {
  const sizesBytes = { matrices: 0, others: 0 };
  const place = (name: string, dtype: DataType, shape: readonly number[], block: Block = "others"): Placed => {
    const offset = sizesBytes[block];
    sizesBytes[block] += aligned(elementCount(shape) * bytesPerElement[dtype]);
    return { name, dtype, shape, block, offset };
  };
  const placed = weights.flatMap((weight) => {
    const { shape } = weight.source;
    if (weight.kind === "float32") return [place(weight.values, "float32", shape)];
    const scales = place(weight.scales, "float32", [shape[0]!]);
    if (weight.kind === "int8 rows") return [place(weight.bytes, "int8", shape), scales];
    return [place(weight.bytes, "int8", int8MatrixShape(weight), "matrices"), scales];
  });
  return { placed, sizesBytes };
}

/** Where the worker writes. */
function targetsOf(weight: PreparedWeight, addresses: ReadonlyMap<string, Handle>): Omit<Preparation, "weight"> {
  if (weight.kind === "float32") return { values: addresses.get(weight.values)! };
  return { values: addresses.get(weight.bytes)!, scales: addresses.get(weight.scales)! };
}

function handOver(
  api: OrtApi,
  sessionOptions: Handle,
  placed: readonly Placed[],
  addresses: ReadonlyMap<string, Handle>,
  values: BigUint64Array,
): void {
  const memoryInfo = api.CreateCpuMemoryInfo(deviceAllocator, defaultMemory);
  try {
    for (const [index, initializer] of placed.entries()) {
      const { name } = initializer;
      values[index] = valueOver(api, memoryInfo, { ...initializer, memory: addresses.get(name)! });
      api.AddInitializer(sessionOptions, name, values[index]!);
    }
  } finally {
    api.ReleaseMemoryInfo(memoryInfo);
  }
}
