/** Which outputs does the worker hold on the device, and what must stay while it does? */
import { addInput, addOutput, createGraph } from "../../onnx/graph.ts";
import { serialise } from "../../onnx/serialise.ts";
import type { Handle } from "./api.ts";
import type { KeptValue, WireTensor } from "./messages.ts";
import type { OrtProvider } from "./provider.ts";
import { createSession, defaultMemory, deviceAllocator, type Runtime, releaseParts, runInPlace } from "./session.ts";
import { readTensor, typeOfValue } from "./values.ts";

export interface KeptValues {
  /** Where they lie, as `OrtMemoryInfo`; absent for the host's memory. */
  readonly memory: Handle | undefined;
  add(session: Handle, kept: readonly KeptValue[]): void;
  read(value: Handle): WireTensor;
  drop(values: readonly Handle[]): void;
  /** Whether one lies in memory that ends with the session. That of the host does not. */
  needs(session: Handle): boolean;
  /** Releases all of them. */
  close(): void;
}

export function openKeptValues(runtime: Runtime, provider: OrtProvider): KeptValues {
  const { api } = runtime;
  const memory =
    provider.memory === undefined
      ? undefined
      : api.CreateMemoryInfo(provider.memory, deviceAllocator, 0, defaultMemory);
  /** The session that made each value. */
  const sessions = new Map<Handle, Handle>();

  function drop(values: readonly Handle[]): void {
    for (const value of values) if (sessions.delete(value)) api.ReleaseValue(value);
  }

  return {
    memory,
    add(session, kept) {
      for (const { value } of kept) sessions.set(value, session);
    },
    read: (value) => (memory === undefined ? readTensor(api, "read", value) : readFrom(runtime, provider, value)),
    drop,
    needs: (session) => memory !== undefined && [...sessions.values()].includes(session),
    close() {
      drop([...sessions.keys()]);
      if (memory !== undefined) api.ReleaseMemoryInfo(memory);
    },
  };
}

/** Copies a value of the provider's memory, as the versions of ONNX Runtime that are served can: `y = x`, with `y` on the host. */
function readFrom(runtime: Runtime, provider: OrtProvider, value: Handle): WireTensor {
  const { api } = runtime;
  const name = "read";
  const { dtype, shape } = typeOfValue(api, name, value);
  const graph = createGraph(name);
  addOutput(graph, "y", addInput(graph, "x", dtype, shape));
  const sessionOptions = api.CreateSessionOptions();
  try {
    const session = createSession(runtime, {
      ...{ name, bytes: new Uint8Array(serialise(graph)), weightsFolder: undefined, threads: 1 },
      ...{ provider, sessionOptions },
    });
    try {
      let copy: WireTensor | undefined;
      const take = (output: string, made: Handle) => {
        copy = readTensor(api, output, made);
        return false;
      };
      runInPlace(runtime, session, { x: value }, { take });
      return copy!;
    } finally {
      releaseParts(api, [session]);
    }
  } finally {
    api.ReleaseSessionOptions(sessionOptions);
  }
}
