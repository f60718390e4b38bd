/** What do the engine and its worker say to each other? One request at a time, each with one reply. */
import type { ErrorCode } from "../../errors.ts";
import type { DataType } from "../../tensor.ts";
import type { Handle } from "./api.ts";
import type { OrtProvider } from "./provider.ts";

/** What the worker is started with; its first reply says whether that worked. */
export interface WorkerSetup {
  readonly libraryPath: string;
  /** What all its sessions run on. */
  readonly provider: OrtProvider;
}

/** A tensor on its way: the buffer is transferred. */
export interface WireTensor {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly buffer: ArrayBuffer;
}

/** A tensor in memory that is there, and stays until the run is over. */
export interface PlacedTensor {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly memory: Handle | ArrayBufferView;
}

/**
 * Where a run's buffers come from: from the system, one by one, from an arena of the session's own, or from the one of the
 * workspace.
 */
type RunMemory = "fresh" | "own" | "workspace";

export interface LoadRequest {
  readonly kind: "load";
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly weightsFolder: string | undefined;
  readonly threads: number;
  /** Whether the session may keep weights in the form that its kernels want. Default: false. */
  readonly packsWeights?: boolean;
  /** See `Model`. Default: false. */
  readonly isOptimised?: boolean;
  /** Default: "fresh". */
  readonly runMemory?: RunMemory;
  /** A fresh `OrtSessionOptions` of the engine's, which can end the loading through it and frees it after the reply. */
  readonly sessionOptions: Handle;
}

/** A loaded graph of ONNX Runtime's, by which threads of the process pass it on. */
export interface NativeSession {
  readonly handle: Handle;
  readonly name: string;
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
}

/** Sessions that another thread has loaded become the worker's, as one model whose parts run in turn. */
export interface AdoptRequest {
  readonly kind: "adopt";
  readonly parts: readonly NativeSession[];
  /** Default: "fresh". */
  readonly runMemory?: RunMemory | undefined;
}

/** An output that stays on the device. */
export interface KeptValue {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  /** The worker holds it until it is told to drop it. */
  readonly value: Handle;
}

export interface RunRequest {
  readonly kind: "run";
  readonly session: Handle;
  readonly inputs: Readonly<Record<string, WireTensor>>;
  /** Inputs and outputs in a workspace. The other outputs are the answer. Default: none. */
  readonly placed?: Readonly<Record<string, PlacedTensor>>;
  /** Inputs that lie on the device. Default: none. */
  readonly values?: Readonly<Record<string, Handle>>;
  /** Outputs that stay there. Default: none. */
  readonly keep?: readonly string[];
  /** A fresh `OrtRunOptions` of the engine's, which can end the run through it and frees it after the reply. */
  readonly runOptions: Handle;
}

export interface RunAnswer {
  /** What was made and has no place. */
  readonly tensors: Readonly<Record<string, WireTensor>>;
  readonly kept: Readonly<Record<string, KeptValue>>;
}

/** Asks for a copy of a kept value. */
export interface ReadRequest {
  readonly kind: "read";
  readonly value: Handle;
  /** A graph `y = x` for it, where it lies in a memory of the provider's own. */
  readonly copying?: Uint8Array | undefined;
}

/** Releases kept values. */
interface DropRequest {
  readonly kind: "drop";
  readonly values: readonly Handle[];
}

interface ReleaseRequest {
  readonly kind: "release";
  readonly session: Handle;
}

/** Answered with whether there is an arena for runs now. The engine asks for one at a time. */
interface OpenArenaRequest {
  readonly kind: "open arena";
  readonly sizeBytes: number;
}

interface CloseArenaRequest {
  readonly kind: "close arena";
}

/** Releases everything, after which the worker ends by itself. */
interface StopRequest {
  readonly kind: "stop";
}

export type Request =
  | LoadRequest
  | AdoptRequest
  | RunRequest
  | ReadRequest
  | DropRequest
  | ReleaseRequest
  | OpenArenaRequest
  | CloseArenaRequest
  | StopRequest;

/** What each kind of request is answered with. */
export interface Results {
  load: Handle;
  adopt: Handle;
  run: RunAnswer;
  read: WireTensor;
  drop: undefined;
  release: undefined;
  "open arena": boolean;
  "close arena": undefined;
  stop: undefined;
}

export type Reply =
  | { readonly result: Results[keyof Results] }
  | { readonly error: { code: ErrorCode; message: string } };
