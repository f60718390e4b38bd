/** What does the pipeline ask of whatever runs its graphs? Node's engine and the browser's serve this interface. */
import type { NamedWeight, PreparedWeight } from "../onnx/prepared.ts";
import type { Tensor } from "../tensor.ts";

/** A graph ready to be run: ONNX bytes whose weights are external data in one folder of `.safetensors` files. */
export interface Model {
  /** Serialised ONNX `ModelProto`. */
  readonly bytes: Uint8Array;
  /**
   * The same as at most `count` graphs, so that several threads can load it. Run in their order each reads inputs of the model and
   * what earlier ones give, under the same names; results are outputs that none of them reads.
   */
  readonly inParts?: (count: number) => readonly Uint8Array[];
  /** Where the external data lies: a folder for Node's engine. Absent when the graph carries all its weights. */
  readonly weightsFolder?: string;
  /** Weights of that folder that are worked out before the session starts, and handed over in memory. */
  readonly prepared?: readonly PreparedWeight[];
  /**
   * Weights that the graph reads from their files itself. They are looked at before a session with int8 matrices starts: what such
   * a network makes of NaN is brought to bytes, and finite again.
   */
  readonly stored?: readonly NamedWeight[];
  /** Whether the session brings weights to a form of its own, which takes time and memory. It does where int8 matrices are prepared. */
  readonly packsWeights?: boolean;
  /**
   * Whether the graph is brought to the form that is fastest on this processor, which takes time and a copy of its weights in fp32.
   * Default: false, it runs as it is.
   */
  readonly isOptimised?: boolean;
  /** For messages: "unet", "vae decoder", ... */
  readonly name: string;
}

/** A loaded graph. Its memory is given back by `release`. */
export interface Session {
  /**
   * Runs the graph once. Inputs are copied unless they lie in a workspace, outputs belong to the caller.
   * An aborted signal ends the run at the next operator and rejects with code `aborted`.
   */
  run(inputs: Readonly<Record<string, Tensor>>, options?: RunOptions): Promise<Record<string, Tensor>>;
  /** Frees the session and returns its memory to the system. Safe to call twice. */
  release(): Promise<void>;
}

/** What {@link Session.run} may be told. */
export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  /** Tensors in a workspace that outputs of these names are written to. They are among the results. */
  readonly outputs?: Readonly<Record<string, Tensor>> | undefined;
}

/**
 * Memory that sessions use in turn, so that it comes from the system once: the first touch of a page costs more than a copy
 * of what is in it.
 */
export interface Workspace {
  /** Runs read and write tensors that lie here where they are. */
  readonly tensors: ArrayBuffer;
  /** Whether runs of sessions that are loaded with it take their memory from it. Not where another workspace does so already. */
  readonly servesRuns: boolean;
  /**
   * Gives the memory back and empties `tensors`. Call it when no run uses them any more and every session that was loaded with
   * it is released, also where the engine has ended before. Safe to call twice.
   */
  release(): Promise<void>;
}

export interface WorkspaceSize {
  /** For the tensors that lie in the workspace. */
  readonly tensorBytes: number;
  /** What one run takes, where runs shall share it; 0 where each shall take its own and give it back. */
  readonly runBytes: number;
}

/** What {@link Engine.load} may be told. */
export interface LoadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly workspace?: Workspace | undefined;
}

/** Memory that runs take a share of: that of the host, or a device's own. */
export interface MemoryPool {
  /** What a session could still take, for plans made before a run. */
  availableBytes(): number;
  /** What the process holds of it now. */
  heldBytes(): number;
  /**
   * Grants a run memory, so that the next one knows that it is no longer free. Call what it gives when the run is over; safe to
   * call twice.
   */
  reserve(sizeBytes: number): () => void;
  /** What runs under way, of this engine and of others that share the pool, may still take of what is available. */
  promisedBytes(): number;
}

/** One object twice where the device has no memory of its own. */
export interface EngineMemory {
  /** For what JavaScript holds: pictures, latents, frames. */
  readonly host: MemoryPool;
  /** For weights, and for what graphs hold while they run. */
  readonly device: MemoryPool;
}

/** What starts sessions on one device. */
export interface Engine {
  /** The execution provider that serves it, as ONNX Runtime names it, e.g. `CPUExecutionProvider`. */
  readonly provider: string;
  /** Threads that one operator may use. */
  readonly threads: number;
  readonly memory: EngineMemory;
  /** @throws StillmotionError `out-of-memory` */
  openWorkspace(size: WorkspaceSize, options?: { signal?: AbortSignal | undefined }): Promise<Workspace>;
  load(model: Model, options?: LoadOptions): Promise<Session>;
  /** Releases every session and stops the worker. Safe to call twice. */
  dispose(): Promise<void>;
}
