/** What runs in the engine's worker thread? The calls that block: loading a graph, running it, releasing it. */
import { type MessagePort, parentPort, type Transferable, workerData } from "node:worker_threads";
import { isOutOfMemory, StillmotionError } from "../../errors.ts";
import { callOnLargeStack, type Handle, openOrtApi } from "./api.ts";
import { type KeptValues, openKeptValues } from "./kept-values.ts";
import type {
  AdoptRequest,
  LoadRequest,
  NativeSession,
  Reply,
  Request,
  Results,
  RunAnswer,
  RunRequest,
  WorkerSetup,
} from "./messages.ts";
import { keepLargeBlocksApart, returnFreedMemory } from "./native-memory.ts";
import type { OrtProvider } from "./provider.ts";
import { runParts } from "./run-parts.ts";
import {
  type Arena,
  createSession,
  openArena,
  type Runtime,
  releaseParts,
  startRuntime,
  stopRuntime,
} from "./session.ts";

serve(parentPort!, workerData as WorkerSetup);

function serve(port: MessagePort, { libraryPath, provider }: WorkerSetup): void {
  callOnLargeStack();
  keepLargeBlocksApart();
  answer(port, () => {
    const runtime = startRuntime(openOrtApi(libraryPath));
    const state: State = {
      ...{ runtime, provider, sessions: new Map(), unwanted: new Set() },
      kept: openKeptValues(runtime, provider),
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
  readonly provider: OrtProvider;
  /** The parts of each model, by the first part's handle. */
  readonly sessions: Map<Handle, readonly NativeSession[]>;
  readonly kept: KeptValues;
  /** Sessions that wait to be released until nothing that is kept needs them. */
  readonly unwanted: Set<Handle>;
  arena: Arena | undefined;
}

function perform(state: State, request: Request): Results[keyof Results] {
  const { runtime, sessions, kept } = state;
  switch (request.kind) {
    case "load":
      return loadSession(state, request);
    case "adopt":
      return adopt(state, request);
    case "run":
      return run(state, request);
    case "read":
      return kept.read(request);
    case "drop":
      kept.drop(request.values);
      for (const session of state.unwanted) releaseSession(state, session);
      return undefined;
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
      kept.close();
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
  const { runtime, provider } = state;
  const parts: NativeSession[] = [];
  try {
    parts.push(createSession(runtime, { ...request, provider }));
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

function run({ runtime, sessions, kept }: State, request: RunRequest): RunAnswer {
  const answer = runParts(runtime, sessions.get(request.session)!, request, kept.memory);
  kept.add(request.session, Object.values(answer.kept));
  return answer;
}

function releaseSession({ runtime, sessions, kept, unwanted }: State, session: Handle): void {
  const parts = sessions.get(session);
  if (!parts) return;
  unwanted.add(session);
  if (kept.needs(session)) return;
  unwanted.delete(session);
  sessions.delete(session);
  releaseParts(runtime.api, parts);
}

function answer(port: MessagePort, work: () => Results[keyof Results]): void {
  try {
    const result = work();
    port.postMessage({ result } satisfies Reply, transferred(result));
  } catch (error) {
    if (!(error instanceof StillmotionError) && !isOutOfMemory(error)) throw error;
    const code = error instanceof StillmotionError ? error.code : "out-of-memory";
    port.postMessage({ error: { code, message: (error as Error).message } } satisfies Reply);
  }
}

function transferred(result: Results[keyof Results]): Transferable[] {
  if (typeof result !== "object") return [];
  return "buffer" in result ? [result.buffer] : Object.values(result.tensors).map(({ buffer }) => buffer);
}
