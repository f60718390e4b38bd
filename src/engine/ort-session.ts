/** How is a graph loaded and run through the C API? Everything here blocks its thread: the worker's. */
import { StillmotionError } from "../errors.ts";
import { onnxType } from "../onnx/data-types.ts";
import { bytesPerElement, type DataType, elementCount, emptyBuffer } from "../tensor.ts";
import type { LoadRequest, RunRequest, WireTensor } from "./messages.ts";
import { availableProviders, copyOfMemory, type Handle, nativeCells, type OrtApi, stringAt } from "./ort-api.ts";

/** What all sessions of a thread share. */
export interface Runtime {
  readonly api: OrtApi;
  /** The process has one environment; each engine holds a reference to it. */
  readonly environment: Handle;
  readonly memoryInfo: Handle;
}

/** A loaded graph. */
export interface NativeSession {
  readonly handle: Handle;
  readonly name: string;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
}

/** `OrtLoggingLevel`: errors come back as statuses, so nothing is worth printing but what is fatal. */
const logFatal = 4;
/** `ExecutionMode`, `GraphOptimizationLevel`, `OrtAllocatorType`, `OrtMemType`. */
const sequential = 0;
/**
 * Graphs come as they shall run, and what is worth working out once was before. ONNX Runtime's optimiser took 5 s more for the
 * UNet of SVD-XT at 14 frames of 448x256, and would keep what is made of weights as they are used.
 */
const optimiseNothing = 0;
export const deviceAllocator = 0;
export const defaultMemory = 0;

export function startRuntime(api: OrtApi): Runtime {
  const environment = api.CreateEnv(logFatal, "stillmotion");
  return { api, environment, memoryInfo: api.CreateCpuMemoryInfo(deviceAllocator, defaultMemory) };
}

/** Call it when every session is released. */
export function stopRuntime({ api, environment, memoryInfo }: Runtime): void {
  api.ReleaseMemoryInfo(memoryInfo);
  api.ReleaseEnv(environment);
}

/** Loads a graph; `request.sessionOptions` is filled here and stays the caller's. */
export function createSession(runtime: Runtime, request: Omit<LoadRequest, "kind">): NativeSession {
  const { api } = runtime;
  const { name, bytes, sessionOptions } = request;
  try {
    configure(api, request);
    const handle = api.CreateSessionFromArray(runtime.environment, bytes, bytes.byteLength, sessionOptions);
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

function configure(
  api: OrtApi,
  {
    sessionOptions,
    provider,
    threads,
    weightsFolder,
    packsWeights = false,
    keepsRunMemory = false,
  }: Omit<LoadRequest, "kind">,
): void {
  api.SetSessionExecutionMode(sessionOptions, sequential);
  api.SetSessionGraphOptimizationLevel(sessionOptions, optimiseNothing);
  api.SetIntraOpNumThreads(sessionOptions, threads);
  api.SetInterOpNumThreads(sessionOptions, 1);
  // Threads wait actively for work inside a run (many short operators) and sleep between runs.
  api.AddSessionConfigEntry(sessionOptions, "session.force_spinning_stop", "1");
  // ONNX Runtime's arena keeps what a run needed, and doubles it with the second run's plan if there is one: 1.42 against
  // 0.72 GB for a small decoder.
  if (keepsRunMemory) api.DisableMemPattern(sessionOptions);
  else api.DisableCpuMemArena(sessionOptions);
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

/** Runs a graph once and copies what it made. The inputs are empty afterwards. */
export function runSession(
  { api, memoryInfo }: Runtime,
  { handle, name, inputNames, outputNames }: NativeSession,
  { inputs, runOptions }: Pick<RunRequest, "inputs" | "runOptions">,
): Record<string, WireTensor> {
  const given = Object.keys(inputs);
  const missing = inputNames.filter((input) => !given.includes(input));
  if (missing.length > 0) throw new StillmotionError("internal", `${name}: no value for input ${missing.join(", ")}`);
  const values = nativeCells(given.length + outputNames.length);
  const inputValues = values.subarray(0, given.length);
  const outputValues = values.subarray(given.length);
  try {
    for (const [index, tensor] of Object.values(inputs).entries()) {
      // `inputs` holds the buffer until the values are released.
      inputValues[index] = valueOver(api, memoryInfo, new Uint8Array(tensor.buffer), tensor);
    }
    api.Run(handle, runOptions, given, inputValues, inputValues.length, outputNames, outputValues.length, outputValues);
    return Object.fromEntries(
      outputNames.map((output, index) => [output, readTensor(api, output, outputValues[index]!)]),
    );
  } catch (error) {
    throw named(error, `${name}: the graph could not be run`);
  } finally {
    for (const value of values) if (value !== 0n) api.ReleaseValue(value);
    for (const { buffer } of Object.values(inputs)) emptyBuffer(buffer);
  }
}

/** An `OrtValue` over memory that is there already and must outlive it. */
export function valueOver(
  api: OrtApi,
  memoryInfo: Handle,
  memory: Handle | ArrayBufferView,
  { dtype, shape }: { readonly dtype: DataType; readonly shape: readonly number[] },
): Handle {
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
