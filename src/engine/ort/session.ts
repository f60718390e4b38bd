/** How is a graph loaded and run through the C API? Loading and running block their thread. */
import { isOutOfMemory } from "../../errors.ts";
import { type Handle, nativeCells, type OrtApi, pointersAt, refuseTelemetry, stringAt, withWhat } from "./api.ts";
import type { LoadRequest, NativeSession, PlacedTensor } from "./messages.ts";
import { returnFreedMemory } from "./native-memory.ts";
import { appendProvider, type OrtProvider } from "./provider.ts";
import { valueOver } from "./values.ts";

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

/** A request for a session, and what it shall run on. */
export type SessionRequest = Omit<LoadRequest, "kind"> & { readonly provider: OrtProvider };

/** Loads a graph; `request.sessionOptions` is filled here and stays the caller's. */
export function createSession(runtime: Runtime, request: SessionRequest): NativeSession {
  const { name } = request;
  try {
    configure(runtime.api, request);
  } catch (error) {
    throw withWhat(error, `${name}: the graph could not be loaded`);
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
    throw withWhat(error, `${name}: the graph could not be loaded`);
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
  }: Omit<SessionRequest, "name" | "bytes">,
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
  appendProvider(api, sessionOptions, provider);
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

/** Gives the memory of a model back to the system. */
export function releaseParts({ ReleaseSession }: OrtApi, parts: readonly NativeSession[]): void {
  for (const { handle } of parts) ReleaseSession(handle);
  returnFreedMemory();
}

interface RunInPlace {
  readonly runOptions?: Handle;
  /** Gets the value of each output that has none yet, and says whether it keeps it; else it is released. */
  readonly take?: (output: string, value: Handle) => boolean;
  /** Where outputs are made that have no value yet, as `OrtMemoryInfo`. Default: all in the host's memory. */
  readonly memoryOf?: ((output: string) => Handle) | undefined;
}

/**
 * Runs a graph once over memory that is there.
 *
 * @param tensors inputs, and outputs that have a place, by name; or values, which stay the caller's
 */
export function runInPlace(
  { api, memoryInfo }: Runtime,
  session: NativeSession,
  tensors: Readonly<Record<string, PlacedTensor | Handle | undefined>>,
  { runOptions, take = () => false, memoryOf }: RunInPlace = {},
): void {
  const { handle, name, inputNames, outputNames } = session;
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
    if (memoryOf) runBound(api, session, inputs, outputs, runOptions ?? null, memoryOf);
    else api.Run(handle, runOptions ?? null, inputNames, inputs, inputs.length, outputNames, outputs.length, outputs);
    for (const [index, output] of outputNames.entries()) {
      if (!tensors[output] && take(output, outputs[index]!)) borrowed.add(inputNames.length + index);
    }
  } catch (error) {
    throw withWhat(error, `${name}: the graph could not be run`);
  } finally {
    for (const [index, value] of values.entries()) if (value !== 0n && !borrowed.has(index)) api.ReleaseValue(value);
  }
}

/** As `Run`, which makes outputs in the host's memory alone. */
function runBound(
  api: OrtApi,
  { handle, inputNames, outputNames }: NativeSession,
  inputs: BigUint64Array,
  outputs: BigUint64Array,
  runOptions: Handle | null,
  memoryOf: (output: string) => Handle,
): void {
  const binding = api.CreateIoBinding(handle);
  try {
    for (const [index, input] of inputNames.entries()) api.BindInput(binding, input, inputs[index]!);
    for (const [index, output] of outputNames.entries()) {
      const value = outputs[index]!;
      if (value === 0n) api.BindOutputToDevice(binding, output, memoryOf(output));
      else api.BindOutput(binding, output, value);
    }
    api.RunWithBinding(handle, runOptions, binding);
    const allocator = api.GetAllocatorWithDefaultOptions(); // the library's own, not to be released
    const [list, count] = [nativeCells(1), nativeCells(1)];
    api.GetBoundOutputValues(binding, allocator, list, count);
    for (const [index, value] of pointersAt(list[0]!, Number(count[0]!)).entries()) {
      if (outputs[index] === 0n) outputs[index] = value;
      else api.ReleaseValue(value);
    }
    api.AllocatorFree(allocator, list[0]!);
  } finally {
    api.ReleaseIoBinding(binding);
  }
}
