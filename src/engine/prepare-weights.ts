/** How are weights worked out before a session starts? In as many threads as it may use, straight into the memory that it reads. */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { bytesText } from "../byte-sizes.ts";
import { abortedError, isOutOfMemory, StillmotionError, throwIfAborted } from "../errors.ts";
import { preparationGraphs } from "../onnx/preparation-graphs.ts";
import { int8MatrixShape, type PreparedWeight } from "../onnx/prepared.ts";
import { aligned, bytesPerElement, type DataType, elementCount } from "../tensor.ts";
import { allocateBlock, type NativeBlock } from "./native-block.ts";
import { addressSpaceLeft, wantLargePages } from "./native-memory.ts";
import { type Handle, nativeCells, type OrtApi } from "./ort-api.ts";
import { defaultMemory, deviceAllocator, valueOver } from "./ort-session.ts";
import type { Preparation } from "./prepare-weight.ts";
import type { PrepareProblem, PrepareReply, PrepareSetup } from "./prepare-worker.ts";

interface PrepareOptions {
  /** For messages. */
  readonly name: string;
  readonly weightsFolder: string;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
}

/** Below this a second thread takes longer to start than to do its share. */
const elementsPerThread = 16e6;

/** What V8 reserves for a thread; without it the whole process would end. */
const threadBytes = 1e9;

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

export interface PreparedMemory {
  /** Gives the int8 matrices back: for when a session was made that has packed them. */
  freeMatrices(): void;
  /** Gives all of it back: for when there is no session that was made with the options, or no longer. */
  free(): void;
}

/**
 * Works the weights out and gives them to `sessionOptions`. The session reads them where they are.
 *
 * @throws StillmotionError `aborted`, `out-of-memory`, or `invalid-checkpoint` when a weights file cannot be read
 */
export async function prepareWeights(
  api: OrtApi,
  sessionOptions: Handle,
  weights: readonly PreparedWeight[],
  options: PrepareOptions,
): Promise<PreparedMemory> {
  throwIfAborted(options.signal);
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
      const problem = `${options.name}: no memory for ${bytesText(sizeBytes)} of prepared weights`;
      const memory = allocateBlock(api, sizeBytes, problem);
      blocks.set(block, memory);
      wantLargePages(memory.address, sizeBytes);
    }
    const addresses = new Map(
      placed.map(({ name, block, offset }) => [name, blocks.get(block)!.address + BigInt(offset)]),
    );
    await fill(
      api.libraryPath,
      weights.map((weight) => ({ weight, ...targetsOf(weight, addresses) })),
      options,
    );
    handOver(api, sessionOptions, placed, addresses, values);
    return { free, freeMatrices: () => blocks.get("matrices")?.free() };
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

/** Resolves or rejects when no thread writes any more. */
async function fill(libraryPath: string, preparations: readonly Preparation[], options: PrepareOptions): Promise<void> {
  const { name, weightsFolder, threads, signal } = options;
  const elementsOf = ({ weight }: Preparation) => elementCount(weight.source.shape);
  const elements = preparations.reduce((sum, each) => sum + elementsOf(each), 0);
  const wanted = Math.min(threads, Math.ceil(elements / elementsPerThread));
  const count = Math.min(wanted, Math.floor(addressSpaceLeft() / threadBytes));
  if (count === 0) throw new StillmotionError("out-of-memory", `${name}: no memory for a thread that prepares weights`);
  // The largest first, so that no thread is left with one when the others are done.
  const bySize = preparations.toSorted((a, b) => elementsOf(b) - elementsOf(a));
  const setup: PrepareSetup = {
    libraryPath,
    weightsFolder,
    graphs: preparationGraphs(preparations.map(({ weight }) => weight)),
    preparations: bySize,
    taken: new SharedArrayBuffer(4),
  };
  const program = new URL(`./prepare-worker${extname(import.meta.url)}`, import.meta.url);
  // Nothing is left to take. Ended from outside while it loads koffi, a thread would abort the process.
  const stop = () => Atomics.store(new Int32Array(setup.taken), 0, bySize.length);
  signal?.addEventListener("abort", stop);
  try {
    // A thread that cannot be started is a problem as well: the others write until they have ended.
    const ends = Array.from({ length: count }, () =>
      endOf(() => new Worker(program, { workerData: setup, execArgv: [] })),
    );
    const problems = (await Promise.all(ends)).filter((each) => each !== undefined);
    if (signal?.aborted) throw abortedError(signal);
    const [problem] = problems;
    if (problem) throw new StillmotionError(problem.code, `${name}: ${problem.message}`);
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** Waits for the thread's end. */
async function endOf(start: () => Worker): Promise<PrepareProblem | undefined> {
  let worker: Worker;
  try {
    worker = start();
  } catch (error) {
    return { code: "out-of-memory", message: `a thread could not be started (${(error as Error).message})` };
  }
  return new Promise((resolve) => {
    let problem: PrepareProblem | undefined = {
      code: "engine",
      message: "a thread that prepares weights ended before it was done",
    };
    worker.on("message", (reply: PrepareReply) => {
      problem = reply.problem;
    });
    worker.on("error", (error: NodeJS.ErrnoException) => {
      const isMemory = error.code === "ERR_WORKER_OUT_OF_MEMORY" || isOutOfMemory(error);
      problem = { code: isMemory ? "out-of-memory" : "engine", message: error.message };
    });
    worker.on("exit", () => resolve(problem));
  });
}
