/** Where do weights lie that are worked out before a session starts? In blocks of native memory that it reads. */
import { bytesText } from "../../byte-sizes.ts";
import { isPacked, type MadeTensor, madeTensors, type PreparedWeight } from "../../onnx/weight-recipes.ts";
import { aligned, bytesPerElement, elementCount } from "../../tensor.ts";
import { type Handle, nativeCells, type OrtApi } from "./api.ts";
import { allocateBlock, type NativeBlock } from "./native-block.ts";
import type { Preparation } from "./prepare-weight.ts";
import { defaultMemory, deviceAllocator } from "./session.ts";
import { valueOver } from "./values.ts";

/** An initializer in a block of native memory. */
interface Placed extends MadeTensor {
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
  const placed = weights.flatMap((weight) =>
    madeTensors(weight).map((made): Placed => {
      const block = made === weight.values && isPacked(weight) ? "matrices" : "others";
      const offset = sizesBytes[block];
      sizesBytes[block] += aligned(elementCount(made.shape) * bytesPerElement[made.dtype]);
      return { ...made, block, offset };
    }),
  );
  return { placed, sizesBytes };
}

/** Where the worker writes. */
function targetsOf(
  { values, scales }: PreparedWeight,
  addresses: ReadonlyMap<string, Handle>,
): Omit<Preparation, "weight"> {
  return { values: addresses.get(values.name)!, ...(scales && { scales: addresses.get(scales.name)! }) };
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
