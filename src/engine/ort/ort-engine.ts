/** How are graphs run in Node? By ONNX Runtime's C API in a worker thread, so that the caller's event loop stays free. */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { abortedError, message, option, StillmotionError, throwIfAborted } from "../../errors.ts";
import { programUrl } from "../../node/installed-package.ts";
import { isPacked, type PreparedWeight } from "../../onnx/weight-recipes.ts";
import { bytesPerElement, elementCount, ownBuffer, type Tensor } from "../../tensor.ts";
import type { DeviceTensor, Engine, Model, RunOptions, RunResults, Session, Workspace } from "../engine.ts";
import { availableProviders, type Handle, type OrtApi, openOrtApi } from "./api.ts";
import { channelBlockOf } from "./block-probe.ts";
import { createDeviceTensors, type DeviceTensors, tensorOf } from "./device-tensors.ts";
import { findOrtLibrary } from "./library.ts";
import type { LoadRequest, PlacedTensor, WireTensor } from "./messages.ts";
import { reusingLargeBlocks } from "./native-memory.ts";
import { packsMatrices } from "./packing-probe.ts";
import { placeWeights } from "./place-weights.ts";
import { prepareInThreads, threadsFor } from "./prepare-threads.ts";
import { processMemory } from "./process-memory.ts";
import { cpuProvider, type OrtProvider } from "./provider.ts";
import { configure, type Runtime, releaseParts, startRuntime, stopRuntime } from "./session.ts";
import { WorkerCalls } from "./worker-calls.ts";
import { createWorkspaces, type Workspaces } from "./workspace.ts";

/** What of the library only those ask who write graphs for it. */
export interface OrtEngine extends Engine {
  /** Channels that lie together where its convolutions work on blocks of them; else 1. */
  readonly channelBlock: number;
}

export interface OrtEngineOptions {
  /** What graphs run on. Default: the CPU. */
  readonly provider?: OrtProvider | undefined;
  /** Threads that one operator may use. Default: as many as the machine runs at once. */
  readonly threads?: number | undefined;
  /** The ONNX Runtime library to use, version 1.22 or newer. Default: the one in onnxruntime-node. */
  readonly libraryPath?: string | undefined;
}

/**
 * Starts an engine: one worker thread in which ONNX Runtime loads and runs graphs, one call after the other. Graphs with weights
 * that are worked out are loaded by the threads which do that, unless the provider wants one thread for all. An idle engine does not
 * keep the process alive.
 *
 * A signal given to `run` ends it at the next operator: the promise rejects when the memory is given back, after the time
 * of one operator. One given to `load` rejects at once, but threads end after the weight that each prepares, and ONNX
 * Runtime looks for it now and then, so that the memory may be held a little longer; `dispose` waits for that.
 *
 * @throws StillmotionError `unsupported` for a provider that the library does not have, `engine` when the library is missing, too old or not ONNX
 *   Runtime, `invalid-option` for a number of threads that is no positive integer
 * @example
 * const engine = await createOrtEngine({ threads: 4 });
 * const session = await engine.load({ name: "unet", bytes, weightsFolder });
 * const { sample } = await session.run({ latents }, { signal });
 * await engine.dispose();
 */
export async function createOrtEngine(options: OrtEngineOptions = {}): Promise<OrtEngine> {
  const { provider = cpuProvider, threads = availableParallelism(), libraryPath = findOrtLibrary() } = options;
  if (!Number.isInteger(threads) || threads < 1) {
    const problem = message`${option("threads")} is ${threads}, expected a whole number of at least 1`;
    throw new StillmotionError("invalid-option", problem);
  }
  const api = openOrtApi(libraryPath);
  if (!availableProviders(api).includes(provider.name)) {
    throw new StillmotionError("unsupported", `${libraryPath} has no ${provider.name}; ${hasProviders(api)}`);
  }
  const worker = new WorkerCalls(programUrl("engine/ort/worker"), { libraryPath, provider });
  await worker.started;
  // Held until no thread loads any more: sessions must not outlive the environment.
  let runtime: Runtime | undefined = startRuntime(api);
  const channelBlock = await channelBlockOf(worker, api, provider);
  const workspaces = createWorkspaces(api, worker);
  const deviceTensors = createDeviceTensors(worker, provider);
  const weights = new Set<() => void>();
  const loading = new Set<Promise<unknown>>();
  const disposed = new AbortController();
  let packing: Promise<boolean> | undefined;
  return {
    threads,
    channelBlock,
    memory: { host: processMemory, device: processMemory },
    openWorkspace: workspaces.open,
    load(model, { signal, workspace } = {}) {
      const packs = (file: string) => {
        packing ??= packsMatrices(worker, api, { threads, model, file }).catch((error) => {
          packing = undefined;
          throw error;
        });
        return packing;
      };
      return load(worker, api, model, {
        provider,
        threads,
        signal,
        workspace,
        workspaces,
        deviceTensors,
        disposed: disposed.signal,
        weights,
        loading,
        packs,
      });
    },
    async dispose() {
      disposed.abort();
      await worker.stop(wasDisposed);
      await Promise.allSettled(loading);
      for (const freeWeights of weights) freeWeights();
      if (runtime) stopRuntime(runtime);
      runtime = undefined;
    },
  };
}

/** For messages. */
const hasProviders = (api: OrtApi) => `it has ${availableProviders(api).join(", ")}`;

const wasDisposed = "the engine was disposed";

/** Into how many parts a model is cut. Each has threads of its own, and hands memory on that it would else use again. */
const partsAtMost = 4;

interface Loading {
  provider: OrtProvider;
  threads: number;
  signal: AbortSignal | undefined;
  workspace: Workspace | undefined;
  workspaces: Workspaces;
  deviceTensors: DeviceTensors;
  /** Fires when the engine ends. */
  disposed: AbortSignal;
  /** Loads that are under way, whatever became of who asked for them. */
  loading: Set<Promise<unknown>>;
  /** Whether sessions have int8 matrices in a form of their own; asked with a file of the model. */
  packs: (file: string) => Promise<boolean>;
  /** Gives back the memory of the weights that were prepared for a session, for each one that is not released yet. */
  weights: Set<() => void>;
}

async function load(worker: WorkerCalls, api: OrtApi, model: Model, options: Loading): Promise<Session> {
  const { name, weightsFolder } = model;
  const { threads, signal, workspace, workspaces, deviceTensors } = options;
  if (weightsFolder !== undefined && !existsSync(weightsFolder)) {
    throw new StillmotionError("invalid-checkpoint", `${name}: the weights' folder ${weightsFolder} does not exist`);
  }
  const sessionOptions = api.CreateSessionOptions();
  const isOptimised = model.isOptimised ?? false;
  const packsWeights = model.packsWeights ?? (isOptimised || matrixOf(model) !== undefined);
  const runMemory = workspace?.servesRuns ? "workspace" : "fresh";
  const about = { weightsFolder, threads, sessionOptions, packsWeights, isOptimised, runMemory } as const;
  const loaded = model.prepared?.length
    ? loadWithWeights(api, worker, model, about, options)
    : loadStored(api, worker, model, about, options);
  const session = loaded
    .then(({ handle, freeWeights }) =>
      workerSession(worker, api, { workspaces, deviceTensors }, name, handle, freeWeights),
    )
    .finally(() => {
      api.ReleaseSessionOptions(sessionOptions);
      options.loading.delete(session);
    });
  options.loading.add(session);
  if (workspace) workspaces.await(workspace, session);
  return signal === undefined ? session : firstOf(session, signal, (unwanted) => unwanted.release());
}

type About = Omit<LoadRequest, "kind" | "name" | "bytes">;

interface Loaded {
  readonly handle: Handle;
  readonly freeWeights: () => void;
}

async function loadStored(
  api: OrtApi,
  worker: WorkerCalls,
  model: Model,
  about: About,
  { signal }: Loading,
): Promise<Loaded> {
  return { handle: await loadInWorker(api, worker, model, about, signal), freeWeights: () => {} };
}

function loadInWorker(
  api: OrtApi,
  worker: WorkerCalls,
  model: Pick<Model, "name" | "bytes">,
  about: About,
  signal: AbortSignal | undefined,
): Promise<Handle> {
  const bytes = new Uint8Array(ownBuffer(model.bytes));
  const interrupt = () => api.SessionOptionsSetLoadCancellationFlag(about.sessionOptions, true);
  const call = { transfer: [bytes.buffer], signal, interrupt };
  return worker.call({ kind: "load", name: model.name, bytes, ...about }, call);
}

/** In the threads that work the weights out, of whose parts each loads one; or when they are done, where the provider wants that. */
async function loadWithWeights(
  api: OrtApi,
  worker: WorkerCalls,
  model: Model,
  about: About,
  { provider, weights, disposed, signal, packs }: Loading,
): Promise<Loaded> {
  const { name, weightsFolder, prepared = [] } = model;
  if (weightsFolder === undefined) throw new StillmotionError("internal", `${name}: prepared weights without a folder`);
  const { sessionOptions, threads, runMemory } = about;
  if (disposed.aborted) throw new StillmotionError("engine", wasDisposed);
  throwIfAborted(signal);
  const eitherSignal = signal ? AbortSignal.any([signal, disposed]) : disposed;
  const { isThreadBound = false } = provider;
  if (!isThreadBound) configure(api, { ...about, provider });
  const placed = placeWeights(api, sessionOptions, prepared, name);
  const freeWeights = () => {
    if (weights.delete(freeWeights)) placed.free();
  };
  weights.add(freeWeights);
  try {
    const count = about.packsWeights ? Math.min(threadsFor(prepared, threads), partsAtMost) : 1;
    const graphs = isThreadBound ? [] : (count > 1 && model.inParts?.(count)) || [model.bytes];
    const stored = matrixOf(model) ? (model.stored ?? []) : [];
    const options = { name, weightsFolder, threads, signal: eitherSignal, stored };
    const parts = await prepareInThreads(api, placed.preparations, graphs, sessionOptions, options);
    try {
      const matrix = matrixOf(model);
      const arePacked = matrix !== undefined && (await packs(matrix.source.file));
      const handle = isThreadBound
        ? await reusingLargeBlocks(() => loadInWorker(api, worker, model, about, signal))
        : await worker.call({ kind: "adopt", parts, runMemory });
      if (arePacked) placed.freeMatrices();
      return { handle, freeWeights };
    } catch (error) {
      releaseParts(api, parts);
      throw error;
    }
  } catch (error) {
    freeWeights();
    throw disposed.aborted && !signal?.aborted ? new StillmotionError("engine", wasDisposed) : error;
  }
}

/** One of the model's int8 matrices, if it has any. */
function matrixOf({ prepared = [] }: Model): PreparedWeight | undefined {
  return prepared.find(isPacked);
}

/** Settles as `work` does, or rejects as soon as the signal fires; what `work` makes after that goes to `discard`. */
async function firstOf<T>(work: Promise<T>, signal: AbortSignal, discard: (unwanted: T) => Promise<void>): Promise<T> {
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => {
      reject(abortedError(signal));
      work.then(discard, () => {});
    };
    signal.addEventListener("abort", onAbort);
  });
  try {
    const made = await Promise.race([work, aborted]);
    throwIfAborted(signal);
    return made;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function workerSession(
  worker: WorkerCalls,
  api: OrtApi,
  { workspaces, deviceTensors }: Pick<Loading, "workspaces" | "deviceTensors">,
  name: string,
  handle: Handle,
  freeWeights: () => void,
): Session {
  let released: Promise<void> | undefined;
  return {
    async run<Kept extends string>(
      inputs: Readonly<Record<string, Tensor | DeviceTensor>>,
      { signal, outputs = {}, keep = [] }: RunOptions<Kept> = {},
    ) {
      if (released) throw new StillmotionError("engine", `${name}: run was called after release`);
      const wired: Record<string, WireTensor> = {};
      const placed: Record<string, PlacedTensor> = {};
      const values: Record<string, Handle> = {};
      for (const [input, tensor] of Object.entries(inputs)) {
        if (!("data" in tensor)) {
          values[input] = deviceTensors.handleOf(tensor, `${name}: ${input}`);
          continue;
        }
        assertFilled(tensor, `${name}: ${input}`);
        const place = workspaces.placeOf(tensor);
        if (place) placed[input] = place;
        else wired[input] = { dtype: tensor.dtype, shape: tensor.shape, buffer: ownBuffer(tensor.data) };
      }
      for (const [output, tensor] of Object.entries(outputs)) {
        assertFilled(tensor, `${name}: ${output}`);
        const place = workspaces.placeOf(tensor);
        if (!place) throw new StillmotionError("internal", `${name}: output ${output} lies in no workspace`);
        placed[output] = place;
      }
      const transfer = Object.values(wired).map(({ buffer }) => buffer);
      const runOptions = api.CreateRunOptions();
      try {
        const interrupt = () => api.RunOptionsSetTerminate(runOptions);
        const request = { kind: "run", session: handle, inputs: wired, placed, values, keep, runOptions } as const;
        const { tensors, kept } = await worker.call(request, { transfer, signal, interrupt });
        if (signal?.aborted) await deviceTensors.drop(Object.values(kept));
        throwIfAborted(signal);
        const copied = Object.entries(tensors).map(([output, tensor]) => [output, tensorOf(tensor)]);
        const staying = Object.entries(kept).map(([output, value]) => [output, deviceTensors.create(value)]);
        return { ...Object.fromEntries([...copied, ...staying]), ...outputs } as RunResults<Kept>;
      } finally {
        api.ReleaseRunOptions(runOptions);
      }
    },
    release() {
      // An engine that has ended holds no sessions, or is about to: `dispose` frees the weights.
      released ??= worker.call({ kind: "release", session: handle }).then(freeWeights, () => undefined);
      return released;
    },
  };
}

function assertFilled({ dtype, shape, data }: Tensor, what: string): void {
  const expected = elementCount(shape);
  if (data.length === expected && data.BYTES_PER_ELEMENT === bytesPerElement[dtype]) return;
  throw new StillmotionError(
    "internal",
    `${what} holds ${data.length} values of ${data.BYTES_PER_ELEMENT} bytes, ` +
      `expected ${expected} of ${bytesPerElement[dtype]} for ${dtype} [${shape.join(", ")}]`,
  );
}
