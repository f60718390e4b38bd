/** How are weights worked out before a session starts? In as many threads as it may use, straight into ONNX Runtime's memory. */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { bytesText } from "../byte-sizes.ts";
import { abortedError, StillmotionError, throwIfAborted } from "../errors.ts";
import { onnxType } from "../onnx/data-types.ts";
import type { PreparedWeight } from "../onnx/prepared.ts";
import { bytesPerElement, type DataType, elementCount } from "../tensor.ts";
import { addressSpaceLeft, wantLargePages } from "./native-memory.ts";
import { type Handle, nativeCells, type OrtApi } from "./ort-api.ts";
import { defaultMemory, deviceAllocator } from "./ort-session.ts";
import type { Preparation, PrepareReply, PrepareSetup } from "./prepare-worker.ts";

export interface PrepareOptions {
  /** For messages. */
  readonly name: string;
  readonly weightsFolder: string;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
}

/** A cache line. */
const alignment = 64;

/** Below this a second thread takes longer to start than to do its share. */
const elementsPerThread = 16e6;

/** What V8 reserves for a thread; without it the whole process would end. */
const threadBytes = 1e9;

/** An initializer in the block of native memory that holds all of them. */
interface Placed {
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly offset: number;
}

/**
 * Works the weights out, gives them to `sessionOptions`, and has `load` start the session with them. After that the memory
 * is freed: by the declaration of `AddExternalInitializers` ONNX Runtime needs it no longer, having packed or copied all.
 *
 * @throws StillmotionError `aborted`, `out-of-memory`, or `invalid-checkpoint` when a weights file cannot be read
 */
export async function withPreparedWeights<Result>(
  api: OrtApi,
  sessionOptions: Handle,
  weights: readonly PreparedWeight[],
  options: PrepareOptions,
  load: () => Promise<Result>,
): Promise<Result> {
  throwIfAborted(options.signal);
  const { placed, sizeBytes } = layOut(weights);
  const allocator = api.GetAllocatorWithDefaultOptions(); // the library's own, not to be released
  const memory = allocate(api, allocator, sizeBytes, options.name);
  try {
    wantLargePages(memory, sizeBytes);
    const addresses = new Map(placed.map(({ name, offset }) => [name, memory + BigInt(offset)]));
    const preparations = weights.map(({ source, matrix, scales }) => ({
      source,
      matrix: addresses.get(matrix)!,
      scales: addresses.get(scales)!,
    }));
    await fill(preparations, options);
    handOver(api, sessionOptions, placed, addresses);
    return await load();
  } finally {
    api.AllocatorFree(allocator, memory);
  }
}

function allocate(api: OrtApi, allocator: Handle, sizeBytes: number, name: string): Handle {
  try {
    return api.AllocatorAlloc(allocator, sizeBytes);
  } catch (error) {
    const problem = `${name}: no memory for ${bytesText(sizeBytes)} of prepared weights (${(error as Error).message})`;
    throw new StillmotionError("out-of-memory", problem, { cause: error });
  }
}

function layOut(weights: readonly PreparedWeight[]): { placed: Placed[]; sizeBytes: number } {
  let sizeBytes = 0;
  const place = (name: string, dtype: DataType, shape: readonly number[]): Placed => {
    const offset = sizeBytes;
    sizeBytes += Math.ceil((elementCount(shape) * bytesPerElement[dtype]) / alignment) * alignment;
    return { name, dtype, shape, offset };
  };
  const placed = weights.flatMap(({ source, matrix, scales }) => {
    const [outputs, ...inputs] = source.shape as [number, ...number[]];
    return [place(matrix, "int8", [elementCount(inputs), outputs]), place(scales, "float32", [outputs])];
  });
  return { placed, sizeBytes };
}

function handOver(
  api: OrtApi,
  sessionOptions: Handle,
  placed: readonly Placed[],
  addresses: ReadonlyMap<string, Handle>,
): void {
  const memoryInfo = api.CreateCpuMemoryInfo(deviceAllocator, defaultMemory);
  const values = nativeCells(placed.length);
  try {
    for (const [index, { name, dtype, shape }] of placed.entries()) {
      values[index] = api.CreateTensorWithDataAsOrtValue(
        memoryInfo,
        addresses.get(name)!,
        elementCount(shape) * bytesPerElement[dtype],
        BigInt64Array.from(shape, BigInt),
        shape.length,
        onnxType[dtype],
      );
    }
    const names = placed.map(({ name }) => name);
    api.AddExternalInitializers(sessionOptions, names, values, values.length);
  } finally {
    for (const value of values) if (value !== 0n) api.ReleaseValue(value);
    api.ReleaseMemoryInfo(memoryInfo);
  }
}

/** Resolves or rejects when no thread writes any more. */
async function fill(preparations: readonly Preparation[], options: PrepareOptions): Promise<void> {
  const { name, weightsFolder, threads, signal } = options;
  const elements = preparations.reduce((sum, { source }) => sum + elementCount(source.shape), 0);
  const count = Math.min(threads, Math.ceil(elements / elementsPerThread));
  // The largest first, so that no thread is left with one when the others are done.
  const bySize = preparations.toSorted((a, b) => elementCount(b.source.shape) - elementCount(a.source.shape));
  const setup: PrepareSetup = { weightsFolder, preparations: bySize, taken: new SharedArrayBuffer(4) };
  if (addressSpaceLeft() < count * threadBytes) {
    throw new StillmotionError("out-of-memory", `${name}: no memory for a thread that prepares weights`);
  }
  const program = new URL(`./prepare-worker${extname(import.meta.url)}`, import.meta.url);
  const workers = Array.from({ length: count }, () => new Worker(program, { workerData: setup, execArgv: [] }));
  const stop = () => void workers.map((worker) => worker.terminate());
  signal?.addEventListener("abort", stop);
  try {
    const problems = await Promise.all(workers.map(problemOf));
    if (signal?.aborted) throw abortedError(signal);
    const problem = problems.find((each) => each !== undefined);
    if (problem !== undefined) throw new StillmotionError("invalid-checkpoint", `${name}: ${problem}`);
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** Waits for the thread's end. */
function problemOf(worker: Worker): Promise<string | undefined> {
  return new Promise((resolve) => {
    let problem: string | undefined = "a thread that prepares weights ended before it was done";
    worker.on("message", (reply: PrepareReply) => {
      problem = reply.problem;
    });
    worker.on("error", (error) => {
      problem = error.message;
    });
    worker.on("exit", () => resolve(problem));
  });
}
