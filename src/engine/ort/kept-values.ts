/** Which outputs does the worker hold on the device, and what must stay while it does? */
import type { Handle } from "./api.ts";
import type { KeptValue, ReadRequest, WireTensor } from "./messages.ts";
import type { OrtProvider } from "./provider.ts";
import { createSession, defaultMemory, deviceAllocator, type Runtime, releaseParts, runInPlace } from "./session.ts";
import { readTensor } from "./values.ts";

export interface KeptValues {
  /** Where they lie, as `OrtMemoryInfo`; absent for the host's memory. */
  readonly memory: Handle | undefined;
  add(session: Handle, kept: readonly KeptValue[]): void;
  read(request: ReadRequest): WireTensor;
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
    read: ({ value, copying }) =>
      copying === undefined ? readTensor(api, "read", value) : readBy(runtime, provider, copying, value),
    drop,
    needs: (session) => memory !== undefined && [...sessions.values()].includes(session),
    close() {
      drop([...sessions.keys()]);
      if (memory !== undefined) api.ReleaseMemoryInfo(memory);
    },
  };
}

/** Copies a value of the provider's memory, as all served versions of ONNX Runtime can: by a graph whose result is on the host. */
function readBy(runtime: Runtime, provider: OrtProvider, bytes: Uint8Array, value: Handle): WireTensor {
  const { api } = runtime;
  const sessionOptions = api.CreateSessionOptions();
  try {
    const about = { name: "read", bytes, weightsFolder: undefined, threads: 1, provider, sessionOptions };
    const session = createSession(runtime, about);
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
