/**
 * Which functions of ONNX Runtime's C API does the engine call, and how?
 *
 * `OrtApi` is a table of function pointers that only ever grows at its end, so a function is known by its index and one
 * build of stillmotion works with every library from the version below on. Declarations: ONNX Runtime 1.30
 * include/onnxruntime/core/session/onnxruntime_c_api.h.
 */
import type { LibraryHandle } from "koffi";
import { StillmotionError } from "../../errors.ts";
import { koffi } from "./koffi.ts";

/** The address of a native object. */
export type Handle = bigint;

/** The table's version that is asked for: the first with every function below, that of ONNX Runtime 1.22. */
const apiVersion = 22;

/** How a C parameter is given in TypeScript. Memory is a view on an ArrayBuffer of its own; see `nativeCell`. */
interface ParameterTypes {
  "void *": Handle | ArrayBufferView | null;
  "const char *": string;
  "const char **": readonly string[];
  int: number;
  size_t: number;
  bool: boolean;
}
type Parameter = keyof ParameterTypes;
type Arguments<P extends readonly Parameter[]> = { -readonly [K in keyof P]: ParameterTypes[P[K]] };

interface Entry<Kind extends "checks" | "gives" | "releases", P extends readonly Parameter[]> {
  kind: Kind;
  index: number;
  parameters: P;
}

/** A function whose status is its only answer. */
function checks<const P extends readonly Parameter[]>(index: number, ...parameters: P): Entry<"checks", P> {
  return { kind: "checks", index, parameters };
}

/** A function that also writes one pointer or integer where its last parameter, not listed here, points. */
function gives<const P extends readonly Parameter[]>(index: number, ...parameters: P): Entry<"gives", P> {
  return { kind: "gives", index, parameters };
}

/** A function that frees its one argument and cannot fail. */
function releases(index: number): Entry<"releases", readonly ["void *"]> {
  return { kind: "releases", index, parameters: ["void *"] };
}

const functions = {
  DisableTelemetryEvents: checks(6, "void *"),
  CreateEnv: gives(3, "int", "const char *"),
  CreateSessionFromArray: gives(8, "void *", "void *", "size_t", "void *"),
  Run: checks(9, "void *", "void *", "const char **", "void *", "size_t", "const char **", "size_t", "void *"),
  CreateSessionOptions: gives(10),
  SetSessionExecutionMode: checks(13, "void *", "int"),
  DisableMemPattern: checks(17, "void *"),
  DisableCpuMemArena: checks(19, "void *"),
  SetSessionGraphOptimizationLevel: checks(23, "void *", "int"),
  SetIntraOpNumThreads: checks(24, "void *", "int"),
  SetInterOpNumThreads: checks(25, "void *", "int"),
  SessionGetInputCount: gives(30, "void *"),
  SessionGetOutputCount: gives(31, "void *"),
  SessionGetOutputTypeInfo: gives(34, "void *", "size_t"),
  SessionGetInputName: gives(36, "void *", "size_t", "void *"),
  SessionGetOutputName: gives(37, "void *", "size_t", "void *"),
  CreateRunOptions: gives(39),
  RunOptionsSetTerminate: checks(46, "void *"),
  CreateTensorAsOrtValue: gives(48, "void *", "void *", "size_t", "int"),
  CreateTensorWithDataAsOrtValue: gives(49, "void *", "void *", "size_t", "void *", "size_t", "int"),
  GetTensorMutableData: gives(51, "void *"),
  CastTypeInfoToTensorInfo: gives(55, "void *"),
  GetTensorElementType: gives(60, "void *"),
  GetDimensionsCount: gives(61, "void *"),
  GetDimensions: checks(62, "void *", "void *", "size_t"),
  GetTensorTypeAndShape: gives(65, "void *"),
  CreateMemoryInfo: gives(68, "const char *", "int", "int", "int"),
  CreateCpuMemoryInfo: gives(69, "int", "int"),
  AllocatorAlloc: gives(75, "void *", "size_t"),
  AllocatorFree: checks(76, "void *", "void *"),
  GetAllocatorWithDefaultOptions: gives(78),
  ReleaseEnv: releases(92),
  ReleaseMemoryInfo: releases(94),
  ReleaseSession: releases(95),
  ReleaseValue: releases(96),
  ReleaseRunOptions: releases(97),
  ReleaseTypeInfo: releases(98),
  ReleaseTensorTypeAndShapeInfo: releases(99),
  ReleaseSessionOptions: releases(100),
  GetAvailableProviders: checks(125, "void *", "void *"),
  ReleaseAvailableProviders: checks(126, "void *", "int"),
  AddSessionConfigEntry: checks(130, "void *", "const char *", "const char *"),
  CreateAllocator: gives(131, "void *", "void *"),
  ReleaseAllocator: releases(132),
  RunWithBinding: checks(133, "void *", "void *", "void *"),
  CreateIoBinding: gives(134, "void *"),
  ReleaseIoBinding: releases(135),
  BindInput: checks(136, "void *", "const char *", "void *"),
  BindOutput: checks(137, "void *", "const char *", "void *"),
  BindOutputToDevice: checks(138, "void *", "const char *", "void *"),
  GetBoundOutputValues: checks(140, "void *", "void *", "void *", "void *"),
  CreateAndRegisterAllocator: checks(144, "void *", "void *", "void *"),
  AddInitializer: checks(150, "void *", "const char *", "void *"),
  CreateArenaCfg: gives(156, "size_t", "int", "int", "int"),
  ReleaseArenaCfg: releases(157),
  SessionOptionsAppendExecutionProvider_TensorRT_V2: checks(170, "void *", "void *"),
  CreateTensorRTProviderOptions: gives(171),
  UpdateTensorRTProviderOptions: checks(172, "void *", "const char **", "const char **", "size_t"),
  ReleaseTensorRTProviderOptions: releases(174),
  UnregisterAllocator: checks(177, "void *", "void *"),
  SessionOptionsAppendExecutionProvider_CUDA_V2: checks(204, "void *", "void *"),
  CreateCUDAProviderOptions: gives(205),
  UpdateCUDAProviderOptions: checks(206, "void *", "const char **", "const char **", "size_t"),
  ReleaseCUDAProviderOptions: releases(208),
  SessionOptionsAppendExecutionProvider: checks(
    216,
    "void *",
    "const char *",
    "const char **",
    "const char **",
    "size_t",
  ),
  SessionOptionsSetLoadCancellationFlag: checks(293, "void *", "bool"),
};

type Functions = typeof functions;
type Bound<E> =
  E extends Entry<infer Kind, infer P> ? (...values: Arguments<P>) => Kind extends "gives" ? bigint : void : never;

/** The C API, each status checked: a failure is thrown as `engine` or `out-of-memory` with ONNX Runtime's own words. */
export type OrtApi = { readonly [Name in keyof Functions]: Bound<Functions[Name]> } & {
  readonly libraryPath: string;
  /** E.g. `1.30.0`. */
  readonly version: string;
};

/** `OrtErrorCode`, by value. */
const statusNames = [
  "OK",
  "FAIL",
  "INVALID_ARGUMENT",
  "NO_SUCHFILE",
  "NO_MODEL",
  "ENGINE_ERROR",
  "RUNTIME_EXCEPTION",
  "INVALID_PROTOBUF",
  "MODEL_LOADED",
  "NOT_IMPLEMENTED",
  "INVALID_GRAPH",
  "EP_FAIL",
  "MODEL_LOAD_CANCELED",
  "MODEL_REQUIRES_COMPILATION",
  "NOT_FOUND",
];

/** ONNX Runtime has no status for it; these are the messages of its CPU and CUDA allocators, of C++ and of the system. */
const outOfMemory =
  /bad_alloc|bad allocation|failed to allocate|out of memory|cannot allocate memory|pthread_create failed/i;

/** koffi calls native functions on a stack of its own, by default smaller than a thread's. Before anything else of koffi's. */
export function callOnLargeStack(): void {
  koffi.config({ ...koffi.config(), sync_stack_size: 8 * 1024 * 1024 });
}

/**
 * Loads the shared library and binds its functions for the calling thread.
 *
 * @throws StillmotionError `engine` when the file is missing, is not ONNX Runtime or is older than 1.22
 */
export function openOrtApi(libraryPath: string): OrtApi {
  const { getApi, version } = openBase(libraryPath);
  const [major = 0, minor = 0] = version.split(".").map(Number);
  // Asked for a version that it lacks, the library would answer null and print to stderr.
  const table = major > 1 || minor >= apiVersion ? getApi(apiVersion) : null;
  if (table === null) {
    throw new StillmotionError(
      "engine",
      `${libraryPath} is ONNX Runtime ${version}; 1.${apiVersion} or newer is needed`,
    );
  }
  const bind = (index: number, result: string, parameters: readonly string[]): NativeFunction =>
    functionAt(table, index, result, parameters);

  const getErrorCode = bind(1, "int", ["void *"]);
  const getErrorMessage = bind(2, "const char *", ["void *"]);
  const releaseStatus = bind(93, "void", ["void *"]);
  const check = (status: unknown) => {
    if (status === null) return;
    const message = String(getErrorMessage(status)).trim().replace(/\s+/g, " ");
    const code = Number(getErrorCode(status));
    releaseStatus(status);
    throw new StillmotionError(
      outOfMemory.test(message) ? "out-of-memory" : "engine",
      `ONNX Runtime: ${message} (${statusNames[code] ?? `status ${code}`})`,
    );
  };

  const binders = {
    checks({ index, parameters }: Entry<"checks", readonly Parameter[]>) {
      const call = bind(index, "void *", parameters);
      return (...values: unknown[]) => check(call(...values));
    },
    gives({ index, parameters }: Entry<"gives", readonly Parameter[]>) {
      const call = bind(index, "void *", [...parameters, "void *"]);
      return (...values: unknown[]) => {
        const cell = nativeCells(1); // eight zero bytes: an int or enum fills the lower four
        check(call(...values, cell));
        return cell[0]!;
      };
    },
    releases({ index, parameters }: Entry<"releases", readonly Parameter[]>) {
      return bind(index, "void", parameters);
    },
  };
  const bound = Object.entries(functions).map(([name, entry]) => [name, binders[entry.kind](entry as never)]);
  return { libraryPath, version, ...Object.fromEntries(bound) } as OrtApi;
}

/** Held for good: koffi unloads a library whose handle is garbage, though functions found through it are in use. */
const loadedLibraries: LibraryHandle[] = [];

type NativeFunction = (...values: unknown[]) => unknown;

/** `OrtApiBase` is two functions: `GetApi(version)` and `GetVersionString()`. */
function openBase(libraryPath: string): { getApi: (version: number) => Handle | null; version: string } {
  let base: Handle;
  try {
    const library = koffi.load(libraryPath);
    loadedLibraries.push(library);
    base = library.func("void *OrtGetApiBase()")();
  } catch (error) {
    throw new StillmotionError(
      "engine",
      `${libraryPath} cannot be loaded as ONNX Runtime's library: ${error instanceof Error ? error.message : error}. ` +
        "Reinstall onnxruntime-node, or give the path of another libonnxruntime",
      { cause: error },
    );
  }
  const getApi = functionAt(base, 0, "void *", ["uint32_t"]) as (version: number) => Handle | null;
  return { getApi, version: String(functionAt(base, 1, "const char *", [])()) };
}

/** The function whose pointer is the table's `index`-th. Its type stays nameless: koffi's names are global. */
function functionAt(table: Handle, index: number, result: string, parameters: readonly string[]): NativeFunction {
  const pointer = koffi.decode(table, index * koffi.sizeof("void *"), "void *");
  return koffi.decode(pointer, koffi.proto(result, [...parameters]));
}

/** Pointer-sized cells that native code may write. V8 moves a typed array of 64 bytes or less that owns its memory. */
export function nativeCells(count: number): BigUint64Array {
  return new BigUint64Array(new ArrayBuffer(count * BigUint64Array.BYTES_PER_ELEMENT));
}

/** The `count` pointers at `address`. */
export function pointersAt(address: Handle, count: number): Handle[] {
  const pointer = "void *";
  return Array.from({ length: count }, (_, index) => koffi.decode(address, index * koffi.sizeof(pointer), pointer));
}

/** The C string at `address`. */
export function stringAt(address: Handle): string {
  return koffi.decode.string(address);
}

/**
 * A copy of `sizeBytes` bytes of native memory.
 *
 * @throws RangeError when there is no memory for it; koffi.decode would end the process
 */
export function copyOfMemory(address: Handle, sizeBytes: number): ArrayBuffer {
  const copy = new Uint8Array(sizeBytes);
  if (sizeBytes > 0) copy.set(new Uint8Array(viewOfMemory(address, sizeBytes)));
  return copy.buffer;
}

/** `sizeBytes` bytes of native memory, to be read or written where they are. Its owner must outlive every use. */
export function viewOfMemory(address: Handle, sizeBytes: number): ArrayBuffer {
  return koffi.view(address, sizeBytes);
}

/** An error of the API with what it happened to before ONNX Runtime's words; any other one as it is. */
export function withWhat(error: unknown, what: string): unknown {
  if (!(error instanceof StillmotionError)) return error;
  return new StillmotionError(error.code, `${what}: ${error.message}`, { cause: error });
}

/** The execution providers compiled into the library, in its order of preference, e.g. `CPUExecutionProvider`. */
export function availableProviders(api: OrtApi): string[] {
  const names = nativeCells(1);
  const count = nativeCells(1);
  api.GetAvailableProviders(names, count);
  const list = names[0]!;
  const length = Number(count[0]!);
  const providers = pointersAt(list, length).map(stringAt);
  api.ReleaseAvailableProviders(list, length);
  return providers;
}

/**
 * ONNX Runtime 1.30 is built with telemetry for its makers, which also leaves an empty file for each process in the system's temporary
 * folder, from when there is an environment. What the person has set stays.
 */
export function refuseTelemetry(): void {
  if (process.platform === "win32") return; // there it asks the system, and `DisableTelemetryEvents` is enough
  const setenv = koffi.load(null).func("int setenv(const char *name, const char *value, int overwrite)");
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);
}
