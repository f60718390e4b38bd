/** What runs in the threads that prepare weights? Each takes the next weight that none has taken, until none is left. */
import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { type ErrorCode, isOutOfMemory, StillmotionError } from "../errors.ts";
import {
  floatsOfWeight,
  type PreparedWeight,
  quantiseWeight,
  type ReadElements,
  scratchLength,
} from "../onnx/prepared.ts";
import { bytesPerElement, elementCount } from "../tensor.ts";
import { type Handle, viewOfMemory } from "./ort-api.ts";

/** A weight, and the native memory of the initializers that are made of it. */
export interface Preparation {
  readonly weight: PreparedWeight;
  readonly values: Handle;
  readonly scales?: Handle;
}

export interface PrepareSetup {
  readonly weightsFolder: string;
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

prepare(workerData as PrepareSetup);

function prepare({ weightsFolder, preparations, taken }: PrepareSetup): void {
  const counter = new Int32Array(taken);
  const largest = Math.max(...preparations.map(({ weight }) => scratchLength(weight.source)));
  const scratch = new Float32Array(largest);
  const stored = new Uint8Array(largest * bytesPerElement.float32);
  const files = new Map<string, number>();
  try {
    for (let next = Atomics.add(counter, 0, 1); next < preparations.length; next = Atomics.add(counter, 0, 1)) {
      const { weight, values, scales } = preparations[next]!;
      const { source } = weight;
      const path = join(weightsFolder, source.file);
      const file = files.get(path) ?? openSync(path, "r");
      files.set(path, file);
      const read = reader(file, path, source, stored);
      const floats = (address: Handle, length: number) =>
        new Float32Array(viewOfMemory(address, length * bytesPerElement.float32));
      if (weight.kind === "float32") floatsOfWeight(source, read, floats(values, elementCount(source.shape)));
      else {
        quantiseWeight(source, read, scratch, {
          kind: weight.kind,
          bytes: new Int8Array(viewOfMemory(values, elementCount(source.shape))),
          scales: floats(scales!, source.shape[0]!),
        });
      }
    }
    parentPort!.postMessage({} satisfies PrepareReply);
  } catch (error) {
    const code = isOutOfMemory(error) ? "out-of-memory" : "invalid-checkpoint";
    const message = error instanceof Error ? error.message : String(error);
    parentPort!.postMessage({ problem: { code, message } } satisfies PrepareReply);
  } finally {
    for (const file of files.values()) closeSync(file);
  }
}

function reader(
  file: number,
  path: string,
  { dtype, offset }: PreparedWeight["source"],
  stored: Uint8Array<ArrayBuffer>,
): ReadElements {
  const size = bytesPerElement[dtype];
  return (start, end) => {
    const wanted = stored.subarray(0, (end - start) * size);
    for (let done = 0; done < wanted.length; ) {
      const read = readSync(file, wanted, done, wanted.length - done, offset + start * size + done);
      if (read === 0)
        throw new StillmotionError("invalid-checkpoint", `${path} ends before the tensor at byte ${offset} does`);
      done += read;
    }
    return wanted;
  };
}
