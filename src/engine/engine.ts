/** What does the pipeline ask of whatever runs its graphs? Node's engine and the browser's serve this interface. */
import type { PreparedWeight } from "../onnx/prepared.ts";
import type { Tensor } from "../tensor.ts";

/** A graph ready to be run: ONNX bytes whose weights are external data in one folder of `.safetensors` files. */
export interface Model {
  /** Serialised ONNX `ModelProto`. */
  readonly bytes: Uint8Array;
  /** Where the external data lies: a folder for Node's engine. Absent when the graph carries all its weights. */
  readonly weightsFolder?: string;
  /** Weights of that folder that are worked out before the session starts, and handed over in memory. */
  readonly prepared?: readonly PreparedWeight[];
  /**
   * Whether a session keeps what its runs take until it is released: for many runs in a row, which then touch no new memory,
   * and a somewhat higher peak. Default: false.
   */
  readonly keepsRunMemory?: boolean;
  /** For messages: "unet", "vae decoder", ... */
  readonly name: string;
}

/** A loaded graph. Its memory is given back by `release`. */
export interface Session {
  /**
   * Runs the graph once. Inputs are copied, outputs belong to the caller.
   * An aborted signal ends the run at the next operator and rejects with code `aborted`.
   */
  run(inputs: Readonly<Record<string, Tensor>>, options?: RunOptions): Promise<Record<string, Tensor>>;
  /** Frees the session and returns its memory to the system. Safe to call twice. */
  release(): Promise<void>;
}

interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  /** Takes the inputs' buffers in place of copying them: they are empty for the caller from then on. Default: false. */
  readonly takeInputs?: boolean;
}

/** A long array of float32 values outside of any graph, on a disk where it would be much memory. */
export interface Scratch {
  /** Fills `into` with the values from number `first` on, which must have been written before. */
  read(first: number, into: Float32Array): Promise<void>;
  /** @throws StillmotionError `output` when the disk is full */
  write(first: number, values: Float32Array): Promise<void>;
  /** Gives memory or disk back. */
  release(): Promise<void>;
}

/** What all scratches together may hold in memory; the others are files. */
export const scratchInMemoryBytes = 64e6;

/** What starts sessions on one device. */
export interface Engine {
  /** The execution provider that serves it, as ONNX Runtime names it, e.g. `CPUExecutionProvider`. */
  readonly provider: string;
  /** Threads that one operator may use. */
  readonly threads: number;
  /** Memory that a session could still take, for plans made before a run. */
  availableMemoryBytes(): number;
  /** What the process holds now. */
  residentMemoryBytes(): number;
  /**
   * Room for `length` values, whose first content is nothing in particular.
   *
   * @throws StillmotionError `output` when there is no room
   */
  createScratch(length: number): Promise<Scratch>;
  /** Throws `output` when scratches of `sizeBytes` together would find no room. */
  assertScratchFits(sizeBytes: number): Promise<void>;
  load(model: Model, options?: { signal?: AbortSignal | undefined }): Promise<Session>;
  /** Releases every session and stops the worker. Safe to call twice. */
  dispose(): Promise<void>;
}
