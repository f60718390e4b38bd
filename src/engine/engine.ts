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
  /** For messages: "unet", "vae decoder", ... */
  readonly name: string;
}

/** A loaded graph. Its memory is given back by `release`. */
export interface Session {
  /**
   * Runs the graph once. Inputs are copied or held until the run ends, outputs belong to the caller.
   * An aborted signal ends the run at the next operator and rejects with code `aborted`.
   */
  run(
    inputs: Readonly<Record<string, Tensor>>,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<Record<string, Tensor>>;
  /** Frees the session and returns its memory to the system. Safe to call twice. */
  release(): Promise<void>;
}

/** What starts sessions on one device. */
export interface Engine {
  /** The execution provider that serves it, as ONNX Runtime names it, e.g. `CPUExecutionProvider`. */
  readonly provider: string;
  /** Memory that a session could still take, for plans made before a run. */
  availableMemoryBytes(): number;
  load(model: Model, options?: { signal?: AbortSignal | undefined }): Promise<Session>;
  /** Releases every session and stops the worker. Safe to call twice. */
  dispose(): Promise<void>;
}
