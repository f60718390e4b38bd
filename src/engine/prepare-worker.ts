/** What runs in the threads that prepare weights? Each takes the next weight that none has taken, until none is left. */
import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { type ErrorCode, isOutOfMemory, StillmotionError } from "../errors.ts";
import type { StoredWeight } from "../onnx/prepared.ts";
import { bytesPerElement } from "../tensor.ts";
import { callOnLargeStack, openOrtApi } from "./ort-api.ts";
import { startRuntime, stopRuntime } from "./ort-session.ts";
import { createPreparer, type Preparation, type ReadElements } from "./prepare-weight.ts";

export interface PrepareSetup {
  readonly libraryPath: string;
  readonly weightsFolder: string;
  /** By name, from `preparationGraphs`. */
  readonly graphs: ReadonlyMap<string, Uint8Array>;
  readonly preparations: readonly Preparation[];
  /** How many weights have been taken, shared by all threads; as many as there are to have them end. */
  readonly taken: SharedArrayBuffer;
}

export interface PrepareProblem {
  readonly code: ErrorCode;
  readonly message: string;
}

/** Nothing, or why a file could not be read. */
export type PrepareReply = { readonly problem?: PrepareProblem };

callOnLargeStack();
parentPort!.postMessage(prepare(workerData as PrepareSetup));

function prepare({ libraryPath, weightsFolder, graphs, preparations, taken }: PrepareSetup): PrepareReply {
  const counter = new Int32Array(taken);
  const files = new Map<string, number>();
  const fileAt = (path: string) => {
    const file = files.get(path) ?? openSync(path, "r");
    files.set(path, file);
    return file;
  };
  const closing: (() => void)[] = [];
  try {
    const runtime = startRuntime(openOrtApi(libraryPath));
    closing.push(() => stopRuntime(runtime));
    const preparer = createPreparer(
      runtime,
      graphs,
      preparations.map(({ weight }) => weight),
    );
    closing.push(preparer.release);
    for (let next = Atomics.add(counter, 0, 1); next < preparations.length; next = Atomics.add(counter, 0, 1)) {
      const { source } = preparations[next]!.weight;
      const path = join(weightsFolder, source.file);
      preparer.prepare(preparations[next]!, readerOf(fileAt(path), path, source));
    }
    return {};
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof StillmotionError) return { problem: { code: error.code, message } };
    return { problem: { code: isOutOfMemory(error) ? "out-of-memory" : "invalid-checkpoint", message } };
  } finally {
    for (const close of closing.reverse()) close();
    for (const file of files.values()) closeSync(file);
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
