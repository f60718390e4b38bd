/** What is a workspace in Node? Native memory, and an arena of ONNX Runtime's for the runs of sessions that share it. */
import { bytesText } from "../../byte-sizes.ts";
import { emptyBuffer, type Tensor } from "../../tensor.ts";
import type { Engine, Workspace } from "../engine.ts";
import { type Handle, type OrtApi, viewOfMemory } from "./api.ts";
import type { PlacedTensor } from "./messages.ts";
import { allocateBlock } from "./native-block.ts";
import type { WorkerCalls } from "./worker-calls.ts";

/** The workspaces of one engine. */
export interface Workspaces {
  readonly open: Engine["openWorkspace"];
  /** Has the workspace's release wait for a load: one that was given up goes on for a while, and looks for the arena. */
  await(workspace: Workspace, load: Promise<unknown>): void;
  /** Where a tensor lies that lies in one of them. */
  placeOf(tensor: Tensor): PlacedTensor | undefined;
}

/**
 * The libraries whose environment has an arena, which is one for all engines of a process. Registering another one would take its
 * place, while sessions of other threads look for it.
 */
const withArena = new Set<string>();

export function createWorkspaces(api: OrtApi, worker: WorkerCalls): Workspaces {
  const addresses = new Map<ArrayBufferLike, Handle>();
  const loads = new WeakMap<Workspace, Set<Promise<unknown>>>();
  return {
    async open({ tensorBytes, runBytes }, { signal } = {}) {
      const arena = runBytes > 0 ? await openArena(api, worker, runBytes, signal) : undefined;
      try {
        const block = allocateBlock(api, tensorBytes, `no memory for a workspace of ${bytesText(tensorBytes)}`);
        const tensors = viewOfMemory(block.address, tensorBytes);
        addresses.set(tensors, block.address);
        const underWay = new Set<Promise<unknown>>();
        const workspace: Workspace = {
          tensors,
          servesRuns: arena !== undefined,
          async release() {
            if (!addresses.delete(tensors)) return;
            await Promise.allSettled(underWay);
            emptyBuffer(tensors);
            block.free();
            await arena?.close();
          },
        };
        loads.set(workspace, underWay);
        return workspace;
      } catch (error) {
        await arena?.close();
        throw error;
      }
    },
    await(workspace, load) {
      const underWay = loads.get(workspace);
      if (!underWay) return;
      underWay.add(load);
      load.catch(() => {}).finally(() => underWay.delete(load));
    },
    placeOf({ dtype, shape, data }) {
      const start = addresses.get(data.buffer);
      return start === undefined ? undefined : { dtype, shape, memory: start + BigInt(data.byteOffset) };
    },
  };
}

/** Undefined where there is one already, or cannot be one. */
async function openArena(
  { libraryPath }: OrtApi,
  worker: WorkerCalls,
  sizeBytes: number,
  signal: AbortSignal | undefined,
): Promise<{ close(): Promise<void> } | undefined> {
  if (withArena.has(libraryPath)) return undefined;
  withArena.add(libraryPath);
  try {
    const isOpen = await worker.call({ kind: "open arena", sizeBytes }, { signal });
    if (!isOpen) {
      withArena.delete(libraryPath);
      return undefined;
    }
  } catch (error) {
    withArena.delete(libraryPath);
    throw error;
  }
  return {
    async close() {
      await worker.call({ kind: "close arena" }).catch(() => {}); // an engine that has ended has closed it
      withArena.delete(libraryPath);
    },
  };
}
