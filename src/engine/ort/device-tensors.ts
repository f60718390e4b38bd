/** Who may still use a tensor that lies on the device? Runs of the engine that made it, until it is released. */
import { StillmotionError } from "../../errors.ts";
import { addInput, addOutput, createGraph } from "../../onnx/graph.ts";
import { serialise } from "../../onnx/serialise.ts";
import { type Tensor, typedArray } from "../../tensor.ts";
import type { DeviceTensor } from "../engine.ts";
import type { Handle } from "./api.ts";
import type { KeptValue, WireTensor } from "./messages.ts";
import type { OrtProvider } from "./provider.ts";
import type { WorkerCalls } from "./worker-calls.ts";

/** Those of one engine. The values themselves lie in its worker, which releases what is left when it ends. */
export interface DeviceTensors {
  create(kept: KeptValue): DeviceTensor;
  /** Has the worker release values that nobody was given. */
  drop(kept: readonly KeptValue[]): Promise<void>;
  /** @throws StillmotionError `engine` for a tensor that was released or is not the engine's */
  handleOf(tensor: DeviceTensor, what: string): Handle;
}

export function createDeviceTensors(worker: WorkerCalls, { memory }: OrtProvider): DeviceTensors {
  const values = new WeakMap<DeviceTensor, Handle>();
  const released = new WeakMap<DeviceTensor, Promise<void>>();

  async function drop(kept: readonly KeptValue[]): Promise<void> {
    if (kept.length === 0) return;
    // An engine that has ended holds none any more.
    await worker.call({ kind: "drop", values: kept.map(({ value }) => value) }).catch(() => {});
  }

  function handleOf(tensor: DeviceTensor, what: string): Handle {
    const value = values.get(tensor);
    if (value === undefined) {
      const problem = `${what} lies on the device of another engine; give what its read() copies`;
      throw new StillmotionError("engine", problem);
    }
    if (!released.has(tensor)) return value;
    throw new StillmotionError("engine", `${what} was released; release it after the last call that needs it`);
  }

  return {
    create(kept) {
      const { value, dtype, shape } = kept;
      const tensor: DeviceTensor = {
        dtype,
        shape,
        async read() {
          const handle = handleOf(tensor, "the tensor on the device");
          const copying = memory === undefined ? undefined : copyingGraph(tensor);
          return tensorOf(await worker.call({ kind: "read", value: handle, copying }));
        },
        release() {
          const release = released.get(tensor) ?? drop([kept]);
          released.set(tensor, release);
          return release;
        },
      };
      values.set(tensor, value);
      return tensor;
    },
    drop,
    handleOf,
  };
}

/** `y = x` for a tensor. */
function copyingGraph({ dtype, shape }: DeviceTensor): Uint8Array {
  const graph = createGraph("read");
  addOutput(graph, "y", addInput(graph, "x", dtype, shape));
  return new Uint8Array(serialise(graph));
}

/** A tensor that has arrived. */
export function tensorOf({ dtype, shape, buffer }: WireTensor): Tensor {
  return { dtype, shape, data: typedArray(dtype, buffer) };
}
