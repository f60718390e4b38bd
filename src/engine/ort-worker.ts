/** What runs in the engine's worker thread? The calls that block: loading a graph, running it, releasing it. */
import { type MessagePort, parentPort, type Transferable, workerData } from "node:worker_threads";
import { isOutOfMemory, StillmotionError } from "../errors.ts";
import type { LoadRequest, Reply, Request, Results, WorkerSetup } from "./messages.ts";
import { keepLargeBlocksApart, returnFreedMemory, reusingLargeBlocks } from "./native-memory.ts";
import { callOnLargeStack, type Handle, openOrtApi } from "./ort-api.ts";
import {
  createSession,
  type NativeSession,
  type Runtime,
  runSession,
  startRuntime,
  stopRuntime,
} from "./ort-session.ts";

serve(parentPort!, workerData as WorkerSetup);

function serve(port: MessagePort, { libraryPath }: WorkerSetup): void {
  callOnLargeStack();
  keepLargeBlocksApart();
  const sessions = new Map<Handle, NativeSession>();
  answer(port, () => {
    const runtime = startRuntime(openOrtApi(libraryPath));
    port.on("message", (request: Request) => {
      answer(port, () => perform(runtime, sessions, request));
      if (request.kind === "stop") port.close();
    });
    return undefined;
  });
}

function perform(runtime: Runtime, sessions: Map<Handle, NativeSession>, request: Request): Results[keyof Results] {
  switch (request.kind) {
    case "load":
      return loadSession(runtime, sessions, request);
    case "run":
      return runSession(runtime, sessions.get(request.session)!, request);
    case "release":
      releaseSession(runtime, sessions, request.session);
      return undefined;
    case "stop":
      for (const session of sessions.keys()) releaseSession(runtime, sessions, session);
      stopRuntime(runtime);
      return undefined;
  }
}

function loadSession(runtime: Runtime, sessions: Map<Handle, NativeSession>, request: LoadRequest): Handle {
  try {
    const create = () => createSession(runtime, request);
    const session = request.packsWeights ? reusingLargeBlocks(create) : create();
    sessions.set(session.handle, session);
    return session.handle;
  } catch (error) {
    returnFreedMemory();
    throw error;
  }
}

function releaseSession({ api }: Runtime, sessions: Map<Handle, NativeSession>, session: Handle): void {
  if (!sessions.delete(session)) return;
  api.ReleaseSession(session);
  returnFreedMemory();
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
