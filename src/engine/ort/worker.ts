/** What runs in the engine's worker thread? The calls that block: loading a graph, running it, releasing it. */
import { type MessagePort, parentPort, type Transferable, workerData } from "node:worker_threads";
import { isOutOfMemory, StillmotionError } from "../../errors.ts";
import { callOnLargeStack, type Handle, openOrtApi } from "./api.ts";
import type { AdoptRequest, LoadRequest, NativeSession, Reply, Request, Results, WorkerSetup } from "./messages.ts";
import { keepLargeBlocksApart, returnFreedMemory } from "./native-memory.ts";
import {
  type Arena,
  createSession,
  openArena,
  type Runtime,
  releaseParts,
  runParts,
  startRuntime,
  stopRuntime,
} from "./session.ts";

serve(parentPort!, workerData as WorkerSetup);

function serve(port: MessagePort, { libraryPath }: WorkerSetup): void {
  callOnLargeStack();
  keepLargeBlocksApart();
  answer(port, () => {
    const state: State = {
      runtime: startRuntime(openOrtApi(libraryPath)),
      sessions: new Map(),
      arena: undefined,
    };
    const onMessage = (request: Request) => {
      answer(port, () => perform(state, request));
      // Nothing is left to wait for, so the thread ends. Deno's port has no `close`.
      if (request.kind === "stop") port.off("message", onMessage);
    };
    port.on("message", onMessage);
    return undefined;
  });
}

interface State {
  readonly runtime: Runtime;
  /** The parts of each model, by the first part's handle. */
  readonly sessions: Map<Handle, readonly NativeSession[]>;
  arena: Arena | undefined;
}

function perform(state: State, request: Request): Results[keyof Results] {
  const { runtime, sessions } = state;
  switch (request.kind) {
    case "load":
      return loadSession(state, request);
    case "adopt":
      return adopt(state, request);
    case "run":
      return runParts(runtime, sessions.get(request.session)!, request);
    case "release":
      releaseSession(state, request.session);
      return undefined;
    case "open arena":
      state.arena = openArena(runtime, request.sizeBytes);
      return state.arena !== undefined;
    case "close arena":
      closeArena(state);
      return undefined;
    case "stop":
      for (const session of sessions.keys()) releaseSession(state, session);
      closeArena(state);
      stopRuntime(runtime);
      return undefined;
  }
}

function closeArena(state: State): void {
  const { arena } = state;
  state.arena = undefined;
  arena?.close();
  returnFreedMemory();
}

function loadSession(state: State, request: LoadRequest): Handle {
  const { runtime } = state;
  const parts: NativeSession[] = [];
  try {
    parts.push(createSession(runtime, request));
    return adopt(state, { parts, runMemory: request.runMemory });
  } catch (error) {
    releaseParts(runtime.api, parts);
    throw error;
  }
}

function adopt({ sessions, arena }: State, { parts, runMemory }: Pick<AdoptRequest, "parts" | "runMemory">): Handle {
  const [first] = parts as [NativeSession];
  if (runMemory === "workspace") arena?.reserve(first);
  sessions.set(first.handle, parts);
  return first.handle;
}

function releaseSession({ runtime, sessions }: State, session: Handle): void {
  const parts = sessions.get(session);
  if (!parts) return;
  sessions.delete(session);
  releaseParts(runtime.api, parts);
}

function answer(port: MessagePort, work: () => Results[keyof Results]): void {
  try {
    const result = work();
    const buffers = typeof result === "object" ? Object.values(result).map(({ buffer }) => buffer) : [];
    port.postMessage({ result } satisfies Reply, buffers as Transferable[]);
  } catch (error) {
    if (!(error instanceof StillmotionError) && !isOutOfMemory(error)) throw error;
    const code = error instanceof StillmotionError ? error.code : "out-of-memory";
    port.postMessage({ error: { code, message: (error as Error).message } } satisfies Reply);
  }
}
