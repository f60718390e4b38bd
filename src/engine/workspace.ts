/** What is a workspace in Node? Native memory, and an arena of ONNX Runtime's for the runs of sessions that share it. */
import { bytesText } from "../byte-sizes.ts";
import { StillmotionError } from "../errors.ts";
import type { Tensor } from "../tensor.ts";
import type { Workspace, WorkspaceSize } from "./engine.ts";
import type { PlacedTensor } from "./messages.ts";
import { type OrtApi, viewOfMemory } from "./ort-api.ts";
import type { WorkerCalls } from "./worker-calls.ts";

/** Tensors that lie in a workspace, by address. */
export interface Workspaces {
  open(size: WorkspaceSize): Promise<Workspace>;
  /** Undefined for one that lies elsewhere. */
  placeOf(tensor: Tensor): PlacedTensor | undefined;
}

export function createWorkspaces(api: OrtApi, worker: WorkerCalls): Workspaces {
  const addresses = new Map<ArrayBufferLike, bigint>();
  return {
    async open({ tensorBytes, runBytes }) {
      const allocator = api.GetAllocatorWithDefaultOptions(); // the library's own, not to be released
      const address = allocate(api, allocator, tensorBytes);
      const tensors = viewOfMemory(address, tensorBytes);
      addresses.set(tensors, address);
      const freeTensors = () => {
        if (addresses.delete(tensors)) api.AllocatorFree(allocator, address);
      };
      try {
        const hasArena = runBytes > 0 && (await worker.call({ kind: "open arena", sizeBytes: runBytes }));
        return {
          tensors,
          servesRuns: runBytes > 0,
          async release() {
            freeTensors();
            // An engine that has ended has closed it.
            if (hasArena) await worker.call({ kind: "close arena" }).catch(() => {});
          },
        };
      } catch (error) {
        freeTensors();
        throw error;
      }
    },
    placeOf({ dtype, shape, data }) {
      const start = addresses.get(data.buffer);
      return start === undefined ? undefined : { dtype, shape, memory: start + BigInt(data.byteOffset) };
    },
  };
}

function allocate(api: OrtApi, allocator: bigint, sizeBytes: number): bigint {
  try {
    return api.AllocatorAlloc(allocator, sizeBytes);
  } catch (error) {
    const problem = `no memory for a workspace of ${bytesText(sizeBytes)} (${(error as Error).message})`;
    throw new StillmotionError("out-of-memory", problem, { cause: error });
  }
}
