/** What do the engine and its worker say to each other? One request at a time, each with one reply. */
import type { ErrorCode } from "../../errors.ts";
import type { DataType } from "../../tensor.ts";
import type { Handle } from "./api.ts";

/** What the worker is started with; its first reply says whether that worked. */
export interface WorkerSetup {
  readonly libraryPath: string;
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
  readonly provider: string;
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

export interface RunRequest {
  readonly kind: "run";
  readonly session: Handle;
  readonly inputs: Readonly<Record<string, WireTensor>>;
  /** Inputs and outputs in a workspace. The other outputs are the answer. Default: none. */
  readonly placed?: Readonly<Record<string, PlacedTensor>>;
  /** A fresh `OrtRunOptions` of the engine's, which can end the run through it and frees it after the reply. */
  readonly runOptions: Handle;
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
  | ReleaseRequest
  | OpenArenaRequest
  | CloseArenaRequest
  | StopRequest;

/** What each kind of request is answered with. */
export interface Results {
  load: Handle;
  adopt: Handle;
  run: Record<string, WireTensor>;
  release: undefined;
  "open arena": boolean;
  "close arena": undefined;
  stop: undefined;
}

export type Reply =
  | { readonly result: Results[keyof Results] }
  | { readonly error: { code: ErrorCode; message: string } };
