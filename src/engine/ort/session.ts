/** How is a graph loaded and run through the C API? Loading and running block their thread. */
import { isOutOfMemory, StillmotionError } from "../../errors.ts";
import { onnxType } from "../../onnx/data-types.ts";
import { bytesPerElement, type DataType, elementCount, emptyBuffer } from "../../tensor.ts";
import {
  availableProviders,
  copyOfMemory,
  type Handle,
  nativeCells,
  type OrtApi,
  refuseTelemetry,
  stringAt,
} from "./api.ts";
import type { LoadRequest, NativeSession, PlacedTensor, RunRequest, WireTensor } from "./messages.ts";
import { returnFreedMemory } from "./native-memory.ts";

/** What all sessions of a thread share. */
export interface Runtime {
  readonly api: OrtApi;
  /** The process has one environment; each engine holds a reference to it. */
  readonly environment: Handle;
  readonly memoryInfo: Handle;
}

/** `OrtLoggingLevel`: errors come back as statuses, so nothing is worth printing but what is fatal. */
const logFatal = 4;
/** `ExecutionMode`, `GraphOptimizationLevel`, `OrtAllocatorType`, `OrtMemType`. */
const sequential = 0;
/**
 * Most graphs come as they shall run, and what is worth working out once was before. ONNX Runtime's optimiser took 5 s more for
 * the UNet of SVD-XT at 14 frames of 448x256, and would keep what is made of weights as they are used.
 */
const optimiseNothing = 0;
/** Layouts as well: convolutions of small maps are faster over blocks of channels. */
const optimiseAll = 99;
export const deviceAllocator = 0;
const arenaAllocator = 1;
/** `ArenaExtendStrategy`, and what an arena's setting is where it is left to ONNX Runtime. */
const extendAsRequested = 1;
const whateverIsUsual = -1;
export const defaultMemory = 0;

export function startRuntime(api: OrtApi): Runtime {
  refuseTelemetry();
  const environment = api.CreateEnv(logFatal, "stillmotion");
  api.DisableTelemetryEvents(environment);
  return { api, environment, memoryInfo: api.CreateCpuMemoryInfo(deviceAllocator, defaultMemory) };
}

/** Call it when every session is released. */
export function stopRuntime({ api, environment, memoryInfo }: Runtime): void {
  api.ReleaseMemoryInfo(memoryInfo);
  api.ReleaseEnv(environment);
}

/** Memory for the runs of all sessions that ask for it. */
export interface Arena {
  /** Call it with the first of them, before it runs. */
  reserve(session: NativeSession): void;
  close(): void;
}

/**
 * An arena for runs that take about `sizeBytes`. It belongs to the environment and so to the process: the caller sees to it that
 * no other one is open. Undefined where ONNX Runtime refuses it.
 */
export function openArena({ api, environment }: Runtime, sizeBytes: number): Arena | undefined {
  const config = api.CreateArenaCfg(0, extendAsRequested, whateverIsUsual, whateverIsUsual);
  const info = api.CreateCpuMemoryInfo(arenaAllocator, defaultMemory);
  try {
    api.CreateAndRegisterAllocator(environment, info, config);
  } catch {
    api.ReleaseMemoryInfo(info);
    return undefined;
  } finally {
    api.ReleaseArenaCfg(config);
  }
  let isReserved = false;
  return {
    /**
     * Grown piece by piece, an arena has no room for a large buffer though much of it is free: 5.9 against 5.3 GB for
     * decoding 7 frames of 448x256 at a time. So one piece is made that is large enough; on Linux and macOS its pages come
     * from the system as they are touched. Where it cannot be had, the arena grows as it must.
     */
    reserve({ handle }) {
      if (isReserved) return;
      isReserved = true;
      const allocator = api.CreateAllocator(handle, info);
      try {
        api.AllocatorFree(allocator, api.AllocatorAlloc(allocator, 2 * sizeBytes));
      } catch (error) {
        if (!isOutOfMemory(error)) throw error;
      } finally {
        api.ReleaseAllocator(allocator);
      }
    },
    close() {
      try {
        api.UnregisterAllocator(environment, info);
      } finally {
        api.ReleaseMemoryInfo(info);
      }
    },
  };
}

/** Loads a graph; `request.sessionOptions` is filled here and stays the caller's. */
export function createSession(runtime: Runtime, request: Omit<LoadRequest, "kind">): NativeSession {
  const { name } = request;
  try {
    configure(runtime.api, request);
  } catch (error) {
    throw named(error, `${name}: the graph could not be loaded`);
  }
  return openSession(runtime, request);
}

/** Loads a graph with options that were configured before, which several threads may read at a time. */
export function openSession(
  { api, environment }: Runtime,
  { name, bytes, sessionOptions }: Pick<LoadRequest, "name" | "bytes" | "sessionOptions">,
): NativeSession {
  try {
    const handle = api.CreateSessionFromArray(environment, bytes, bytes.byteLength, sessionOptions);
    try {
      const inputNames = namesOf(api, api.SessionGetInputName, handle, api.SessionGetInputCount(handle));
      const outputNames = namesOf(api, api.SessionGetOutputName, handle, api.SessionGetOutputCount(handle));
      return { handle, name, inputNames, outputNames };
    } catch (error) {
      api.ReleaseSession(handle);
      throw error;
    }
  } catch (error) {
    throw named(error, `${name}: the graph could not be loaded`);
  }
}

export function configure(
  api: OrtApi,
  {
    sessionOptions,
    provider,
    threads,
    weightsFolder,
    packsWeights = false,
    isOptimised = false,
    runMemory = "fresh",
  }: Omit<LoadRequest, "kind" | "name" | "bytes">,
): void {
  api.SetSessionExecutionMode(sessionOptions, sequential);
  api.SetSessionGraphOptimizationLevel(sessionOptions, isOptimised ? optimiseAll : optimiseNothing);
  api.SetIntraOpNumThreads(sessionOptions, threads);
  api.SetInterOpNumThreads(sessionOptions, 1);
  // Threads wait actively for work inside a run (many short operators) and sleep between runs.
  api.AddSessionConfigEntry(sessionOptions, "session.force_spinning_stop", "1");
  // ONNX Runtime's arena keeps what a run needed, and doubles it with the second run's plan if there is one: 1.42 against
  // 0.72 GB for a small decoder.
  if (runMemory === "fresh") api.DisableCpuMemArena(sessionOptions);
  else api.DisableMemPattern(sessionOptions);
  if (runMemory === "workspace") api.AddSessionConfigEntry(sessionOptions, "session.use_env_allocators", "1");
  // Packed fp32 weights made a step of SVD-XT's UNet 3 % faster, int8 ones 16 %: those are worth a copy.
  if (!packsWeights) api.AddSessionConfigEntry(sessionOptions, "session.disable_prepacking", "1");
  if (weightsFolder !== undefined) {
    api.AddSessionConfigEntry(sessionOptions, "session.model_external_initializers_file_folder_path", weightsFolder);
  }
  if (provider !== "CPUExecutionProvider") appendProvider(api, sessionOptions, provider);
}

/** Puts `provider`, named as `GetAvailableProviders` names it, before the CPU's. */
function appendProvider(api: OrtApi, sessionOptions: Handle, provider: string): void {
  if (!availableProviders(api).includes(provider)) {
    throw new StillmotionError("unsupported", `${api.libraryPath} has no ${provider}`);
  }
  if (provider === "CUDAExecutionProvider") {
    const options = api.CreateCUDAProviderOptions();
    try {
      api.SessionOptionsAppendExecutionProvider_CUDA_V2(sessionOptions, options);
    } finally {
      api.ReleaseCUDAProviderOptions(options);
    }
  } else if (provider === "TensorrtExecutionProvider") {
    const options = api.CreateTensorRTProviderOptions();
    try {
      api.SessionOptionsAppendExecutionProvider_TensorRT_V2(sessionOptions, options);
    } finally {
      api.ReleaseTensorRTProviderOptions(options);
    }
  } else {
    api.SessionOptionsAppendExecutionProvider(sessionOptions, provider, [], [], 0);
  }
}

function namesOf(api: OrtApi, nameAt: OrtApi["SessionGetInputName"], session: Handle, count: bigint): string[] {
  const allocator = api.GetAllocatorWithDefaultOptions(); // the library's own, not to be released
  return Array.from({ length: Number(count) }, (_, index) => {
    const address = nameAt(session, index, allocator);
    const name = stringAt(address);
    api.AllocatorFree(allocator, address);
    return name;
  });
}

/**
 * Runs a model once and copies what it made, but for outputs that have a place. The inputs are empty afterwards.
 *
 * @param parts the graphs that the model consists of, each of which may read what earlier ones give
 */
export function runParts(
  runtime: Runtime,
  parts: readonly NativeSession[],
  { inputs, placed, runOptions }: Pick<RunRequest, "inputs" | "placed" | "runOptions">,
): Record<string, WireTensor> {
  const given = Object.entries(inputs).map(([input, { buffer, ...tensor }]) => {
    return [input, { ...tensor, memory: new Uint8Array(buffer) }] as const;
  });
  const made: Record<string, WireTensor> = {};
  const handedOn = new Map<string, Handle>();
  const readFrom = (part: number) => new Set(parts.slice(part).flatMap(({ inputNames }) => inputNames));
  try {
    const tensors = { ...Object.fromEntries(given), ...placed };
    assertNamesOf(parts, tensors);
    for (const [index, part] of parts.entries()) {
      const readLater = readFrom(index + 1);
      const names = [...part.inputNames, ...part.outputNames];
      const own = names.map((name) => [name, tensors[name] ?? handedOn.get(name)] as const);
      runInPlace(runtime, part, Object.fromEntries(own), runOptions, (output, value) => {
        if (readLater.has(output)) handedOn.set(output, value);
        else made[output] = readTensor(runtime.api, output, value);
        return readLater.has(output);
      });
      for (const [name, value] of handedOn) {
        if (readLater.has(name)) continue;
        handedOn.delete(name);
        runtime.api.ReleaseValue(value);
      }
    }
    return made;
  } finally {
    for (const value of handedOn.values()) runtime.api.ReleaseValue(value);
    for (const { buffer } of Object.values(inputs)) emptyBuffer(buffer);
  }
}

/** Gives the memory of a model back to the system. */
export function releaseParts({ ReleaseSession }: OrtApi, parts: readonly NativeSession[]): void {
  for (const { handle } of parts) ReleaseSession(handle);
  returnFreedMemory();
}

/** All inputs that no part makes must be there, and nothing that is no input or result. */
function assertNamesOf(parts: readonly NativeSession[], tensors: Readonly<Record<string, unknown>>): void {
  const { name } = parts[0]!;
  const [read, made] = [
    new Set(parts.flatMap(({ inputNames }) => inputNames)),
    new Set(parts.flatMap(({ outputNames }) => outputNames)),
  ];
  const inputs = [...read].filter((each) => !made.has(each));
  const missing = inputs.filter((input) => tensors[input] === undefined);
  if (missing.length > 0) throw new StillmotionError("internal", `${name}: no value for input ${missing.join(", ")}`);
  const names = [...inputs, ...[...made].filter((each) => !read.has(each))];
  const unknown = Object.keys(tensors).filter((tensor) => !names.includes(tensor));
  if (unknown.length > 0) {
    const problem = `${name}: nothing is called ${unknown.join(", ")}, there are ${names.join(", ")}`;
    throw new StillmotionError("internal", problem);
  }
}

/**
 * Runs a graph once over memory that is there.
 *
 * @param tensors inputs, and outputs that have a place, by name; or values, which stay the caller's
 * @param take gets the value of each other output, and says whether it keeps it; else it is released
 */
export function runInPlace(
  { api, memoryInfo }: Runtime,
  { handle, name, inputNames, outputNames }: NativeSession,
  tensors: Readonly<Record<string, PlacedTensor | Handle | undefined>>,
  runOptions: Handle | null = null,
  take: (output: string, value: Handle) => boolean = () => false,
): void {
  const names = [...inputNames, ...outputNames];
  const values = nativeCells(names.length);
  const [inputs, outputs] = [values.subarray(0, inputNames.length), values.subarray(inputNames.length)];
  const borrowed = new Set<number>();
  try {
    for (const [index, name] of names.entries()) {
      const tensor = tensors[name];
      if (typeof tensor === "bigint") borrowed.add(index);
      if (tensor) values[index] = typeof tensor === "bigint" ? tensor : valueOver(api, memoryInfo, tensor);
    }
    api.Run(handle, runOptions, inputNames, inputs, inputs.length, outputNames, outputs.length, outputs);
    for (const [index, output] of outputNames.entries()) {
      if (!tensors[output] && take(output, outputs[index]!)) borrowed.add(inputNames.length + index);
    }
  } catch (error) {
    throw named(error, `${name}: the graph could not be run`);
  } finally {
    for (const [index, value] of values.entries()) if (value !== 0n && !borrowed.has(index)) api.ReleaseValue(value);
  }
}

/** An `OrtValue` over memory that is there already and must outlive it. */
export function valueOver(api: OrtApi, memoryInfo: Handle, { dtype, shape, memory }: PlacedTensor): Handle {
  return api.CreateTensorWithDataAsOrtValue(
    memoryInfo,
    memory,
    elementCount(shape) * bytesPerElement[dtype],
    BigInt64Array.from(shape, BigInt),
    shape.length,
    onnxType[dtype],
  );
}

function readTensor(api: OrtApi, name: string, value: Handle): WireTensor {
  const info = api.GetTensorTypeAndShape(value);
  try {
    const type = Number(api.GetTensorElementType(info));
    const dtype = (Object.keys(onnxType) as DataType[]).find((dtype) => onnxType[dtype] === type);
    if (dtype === undefined) {
      throw new StillmotionError(
        "unsupported",
        `output ${name} has element type ${type}, which is no dtype of a tensor`,
      );
    }
    const dimensions = nativeCells(Number(api.GetDimensionsCount(info)));
    api.GetDimensions(info, dimensions, dimensions.length);
    const shape = Array.from(dimensions, Number);
    const sizeBytes = elementCount(shape) * bytesPerElement[dtype];
    return { dtype, shape, buffer: copyOfMemory(api.GetTensorMutableData(value), sizeBytes) };
  } finally {
    api.ReleaseTensorTypeAndShapeInfo(info);
  }
}

function named(error: unknown, what: string): unknown {
  if (!(error instanceof StillmotionError)) return error;
  return new StillmotionError(error.code, `${what}: ${error.message}`, { cause: error });
}
