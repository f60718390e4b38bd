/** What does the pipeline ask of whatever runs its graphs? Node's engine and the browser's serve this interface. */
import type { NamedWeight } from "../onnx/stored-weight.ts";
import type { PreparedWeight } from "../onnx/weight-recipes.ts";
import type { DataType, Tensor } from "../tensor.ts";

/**
 * A graph ready to be run: ONNX bytes whose weights are external data in one folder of `.safetensors` files. What is not needed to
 * compute it says how it can be run well, and an engine may leave that alone: `inParts`, `stored`, `packsWeights`, `isOptimised`.
 */
export interface Model {
  /** For messages: "unet", "vae decoder", ... */
  readonly name: string;
  /** Serialised ONNX `ModelProto`. */
  readonly bytes: Uint8Array;
  /**
   * The same as at most `count` graphs, for an engine that loads several at a time. Run in their order each reads inputs of the model
   * and what earlier ones give, under the same names; results are outputs that none of them reads.
   */
  readonly inParts?: (count: number) => readonly Uint8Array[];
  /** Where the external data lies: a folder for Node's engine. Absent when the graph carries all its weights. */
  readonly weightsFolder?: string;
  /** Weights of that folder that are worked out before the session starts: the graph names them and does not hold them. */
  readonly prepared?: readonly PreparedWeight[];
  /**
   * Weights that the graph reads from their files itself. Where its arithmetic would make NaN finite again, an engine looks at them
   * before the session starts.
   */
  readonly stored?: readonly NamedWeight[];
  /**
   * Whether the session should hold weights in a form of its own that is faster to multiply with, for more time to load and more
   * memory. Default: the engine decides by the weights.
   */
  readonly packsWeights?: boolean;
  /**
   * Whether the graph should be brought to the form that is fastest on the device, which takes time and a copy of its weights in
   * fp32: for small graphs that run often. Default: false, it runs as it is.
   */
  readonly isOptimised?: boolean;
}

/**
 * A tensor in the memory of an engine's device. Give it to runs of any session of the engine. It stays when the session that made it is
 * released; a device may hold memory of that session until then.
 */
export interface DeviceTensor {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  /** Copies it to the host. Rejects when it was released or the engine has ended. */
  read(): Promise<Tensor>;
  /**
   * Gives its memory back, after the runs that were called before. Safe to call twice, also when the engine has ended: that gives
   * back what was left.
   */
  release(): Promise<void>;
}

/** A loaded graph. Its memory is given back by `release`. */
export interface Session {
  /**
   * Runs the graph once. Inputs are copied unless they lie on the device or in a workspace, outputs belong to the caller.
   * An aborted signal ends the run soon and rejects with code `aborted`; nothing is kept then.
   *
   * @example
   * const { feature } = await session.run({ latents }, { keep: ["feature"] });
   * const { sample } = await other.run({ latents, feature });
   * await feature.release();
   */
  run<Kept extends string = never>(
    inputs: Readonly<Record<string, Tensor | DeviceTensor>>,
    options?: RunOptions<Kept>,
  ): Promise<RunResults<NoInfer<Kept>>>;
  /** Frees the session and returns its memory to the system. Safe to call twice. */
  release(): Promise<void>;
}

/** What {@link Session.run} may be told. */
export interface RunOptions<Kept extends string = never> {
  readonly signal?: AbortSignal | undefined;
  /** Tensors in a workspace that outputs of these names are written to. They are among the results. */
  readonly outputs?: Readonly<Record<string, Tensor>> | undefined;
  /** Outputs that stay on the device. The results hold a handle for each, to be released by the caller. */
  readonly keep?: readonly Kept[] | undefined;
}

/** By the names of outputs. */
export type RunResults<Kept extends string = never> = [Kept] extends [never]
  ? Record<string, Tensor>
  : Record<string, Tensor | DeviceTensor> & Record<Kept, DeviceTensor>;

/**
 * Memory that sessions use in turn, so that it is asked for once: memory that comes anew from the system takes longer to write to
 * than what is in it takes to copy.
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
  /** Threads of the host that it works with. While a session loads, each may hold a weight that is being worked out. */
  readonly threads: number;
  readonly memory: EngineMemory;
  /** @throws StillmotionError `out-of-memory` */
  openWorkspace(size: WorkspaceSize, options?: { signal?: AbortSignal | undefined }): Promise<Workspace>;
  load(model: Model, options?: LoadOptions): Promise<Session>;
  /** Ends runs, and releases every session and every tensor on the device. Safe to call twice. */
  dispose(): Promise<void>;
}
