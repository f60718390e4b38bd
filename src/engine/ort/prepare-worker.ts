/**
 * What runs in the threads that prepare weights? Each takes the next weight that none has taken. When all are there it takes the next
 * graph that reads them, and loads it.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { type ErrorCode, isOutOfMemory, StillmotionError } from "../../errors.ts";
import { lookAtStored } from "../../finite.ts";
import type { NamedWeight, StoredWeight } from "../../onnx/stored-weight.ts";
import { bytesPerElement, elementCount } from "../../tensor.ts";
import { callOnLargeStack, type Handle, openOrtApi } from "./api.ts";
import type { NativeSession } from "./messages.ts";
import { createPreparer, notFiniteWeight, type Preparation, type ReadElements } from "./prepare-weight.ts";
import { openSession, type Runtime, startRuntime, stopRuntime } from "./session.ts";
import { type SharedTasks, takeFirst, takeSecond } from "./shared-tasks.ts";

export interface PrepareSetup {
  readonly libraryPath: string;
  /** For messages. */
  readonly name: string;
  readonly weightsFolder: string;
  /** By name, from `preparationGraphs`. */
  readonly graphs: ReadonlyMap<string, Uint8Array>;
  readonly preparations: readonly Preparation[];
  /** Weights that the graphs read from their files, to be looked at. */
  readonly stored: readonly NamedWeight[];
  /** Graphs that read the weights. */
  readonly parts: readonly Uint8Array[];
  /** What they are loaded with. */
  readonly sessionOptions: Handle;
  readonly tasks: SharedTasks;
}

export interface PrepareProblem {
  readonly code: ErrorCode;
  readonly message: string;
}

/** What the thread has loaded, and why it ended before there was nothing left to do, if so. */
export interface PrepareReply {
  readonly loaded: readonly { readonly part: number; readonly session: NativeSession }[];
  readonly problem?: PrepareProblem;
}

/** Most that is looked at of a weight at once. */
const elementsTogether = 512 * 1024;

callOnLargeStack();
parentPort!.postMessage(serve(workerData as PrepareSetup));

function serve(setup: PrepareSetup): PrepareReply {
  const { libraryPath, tasks, name, parts, sessionOptions } = setup;
  const loaded: { part: number; session: NativeSession }[] = [];
  try {
    const runtime = startRuntime(openOrtApi(libraryPath));
    try {
      prepare(runtime, setup);
      for (const part of takeSecond(tasks, taskCount(setup), parts.length)) {
        loaded.push({ part, session: openSession(runtime, { name, bytes: parts[part]!, sessionOptions }) });
      }
    } finally {
      stopRuntime(runtime);
    }
    return { loaded };
  } catch (error) {
    return { loaded, problem: problemOf(error, name) };
  }
}

function problemOf(error: unknown, name: string): PrepareProblem {
  const said = error instanceof Error ? error.message : String(error);
  const message = said.startsWith(`${name}: `) ? said : `${name}: ${said}`;
  if (error instanceof StillmotionError) return { code: error.code, message };
  return { code: isOutOfMemory(error) ? "out-of-memory" : "invalid-checkpoint", message };
}

/** Of the first half: weights that are worked out, then those that are looked at. */
function taskCount({ preparations, stored }: PrepareSetup): number {
  return preparations.length + stored.length;
}

/** Takes weights until none is left. */
function prepare(runtime: Runtime, setup: PrepareSetup): void {
  const { weightsFolder, graphs, preparations, stored, tasks } = setup;
  const files = new Map<string, number>();
  const fileAt = (path: string) => {
    const file = files.get(path) ?? openSync(path, "r");
    files.set(path, file);
    return file;
  };
  const weights = preparations.map(({ weight }) => weight);
  const preparer = createPreparer(runtime, graphs, weights);
  try {
    for (const next of takeFirst(tasks, taskCount(setup))) {
      const preparation = preparations[next];
      const source = preparation?.weight.source ?? stored[next - preparations.length]!;
      const path = join(weightsFolder, source.file);
      const read = readerOf(fileAt(path), path, source);
      if (preparation) preparer.prepare(preparation, read);
      else look(source as NamedWeight, read);
    }
  } finally {
    preparer.release();
    for (const file of files.values()) closeSync(file);
  }
}

function look({ name, dtype, shape }: NamedWeight, read: ReadElements): void {
  const count = elementCount(shape);
  const bytes = new Uint8Array(Math.min(count, elementsTogether) * bytesPerElement[dtype]);
  for (let start = 0; start < count; start += elementsTogether) {
    const piece = bytes.subarray(0, Math.min(elementsTogether, count - start) * bytesPerElement[dtype]);
    read(start, piece);
    if (lookAtStored(dtype, piece).first !== undefined) throw notFiniteWeight(name);
  }
}

function readerOf(file: number, path: string, { dtype, offset }: StoredWeight): ReadElements {
  return (start, target) => {
    for (let done = 0; done < target.length; ) {
      const position = offset + start * bytesPerElement[dtype] + done;
      const read = readSync(file, target, done, target.length - done, position);
      if (read === 0)
        throw new StillmotionError("invalid-checkpoint", `${path} ends before the tensor at byte ${offset} does`);
      done += read;
    }
  };
}
