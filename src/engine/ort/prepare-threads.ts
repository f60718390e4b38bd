/** Which threads work weights out and load what reads them, and what becomes of those threads when a load fails or is ended? */
import { Worker } from "node:worker_threads";
import { abortedError, isOutOfMemory, StillmotionError } from "../../errors.ts";
import { programUrl } from "../../node/installed-package.ts";
import { preparationGraphs } from "../../onnx/preparation-graphs.ts";
import type { NamedWeight } from "../../onnx/stored-weight.ts";
import type { PreparedWeight } from "../../onnx/weight-recipes.ts";
import { elementCount } from "../../tensor.ts";
import type { Handle, OrtApi } from "./api.ts";
import type { NativeSession } from "./messages.ts";
import { addressSpaceLeft, reusingLargeBlocks } from "./native-memory.ts";
import type { Preparation } from "./prepare-weight.ts";
import type { PrepareProblem, PrepareReply, PrepareSetup } from "./prepare-worker.ts";
import { releaseParts } from "./session.ts";
import { createTasks, stopTasks } from "./shared-tasks.ts";

interface ThreadOptions {
  /** For messages. */
  readonly name: string;
  readonly weightsFolder: string;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  /** Weights that the parts read from their files, to be looked at. */
  readonly stored: readonly NamedWeight[];
}

/** Below this a second thread takes longer to start than to do its share. */
const elementsPerThread = 16e6;

/** What V8 reserves for a thread; without it the whole process would end. */
const threadBytes = 1e9;

const elementsOf = ({ source }: PreparedWeight) => elementCount(source.shape);

/** How many threads are worth starting for the weights. */
export function threadsFor(weights: readonly PreparedWeight[], threads: number): number {
  const elements = weights.reduce((sum, each) => sum + elementsOf(each), 0);
  return Math.min(threads, Math.ceil(elements / elementsPerThread));
}

/**
 * Works the weights out, then loads a session from each of `parts` with `sessionOptions`, as many at a time as there are threads.
 * Resolves or rejects when no thread works any more; then the sessions are the caller's, or there are none.
 */
export async function prepareInThreads(
  api: OrtApi,
  preparations: readonly Preparation[],
  parts: readonly Uint8Array[],
  sessionOptions: Handle,
  { name, weightsFolder, threads, signal, stored }: ThreadOptions,
): Promise<NativeSession[]> {
  const weights = preparations.map(({ weight }) => weight);
  const count = Math.min(threadsFor(weights, threads), Math.floor(addressSpaceLeft() / threadBytes));
  if (count === 0) throw new StillmotionError("out-of-memory", `${name}: no memory for a thread that prepares weights`);
  const setup: PrepareSetup = {
    ...{ libraryPath: api.libraryPath, name, weightsFolder, parts, sessionOptions, stored },
    graphs: preparationGraphs(weights),
    // The largest first, so that no thread is left with one when the others are done.
    preparations: preparations.toSorted((a, b) => elementsOf(b.weight) - elementsOf(a.weight)),
    tasks: createTasks(),
  };
  // Nothing is left to take. Ended from outside while it loads koffi, a thread would abort the process.
  const stop = () => {
    stopTasks(setup.tasks);
    api.SessionOptionsSetLoadCancellationFlag(sessionOptions, true);
  };
  signal?.addEventListener("abort", stop);
  // process.exit() waits for the threads, which notice nothing while they are inside native code.
  process.on("exit", stop);
  const sessions = new Map<number, NativeSession>();
  /** In their order: where one thread ends the others, theirs is another problem. */
  const problems: PrepareProblem[] = [];
  try {
    const program = programUrl("engine/ort/prepare-worker");
    const start = () => new Worker(program, { workerData: setup, execArgv: [] });
    const ends = Array.from({ length: count }, async () => {
      const problem = await endOf(start, name, (part, session) => sessions.set(part, session));
      if (!problem) return;
      problems.push(problem);
      stop(); // the others end soon, and until then write where they were told
    });
    await reusingLargeBlocks(() => Promise.all(ends));
    if (signal?.aborted) throw abortedError(signal);
    const [problem] = problems;
    if (problem) throw new StillmotionError(problem.code, problem.message);
    return parts.map((_, part) => sessions.get(part)!);
  } catch (error) {
    releaseParts(api, [...sessions.values()]);
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
    process.off("exit", stop);
  }
}

/** Waits for the thread's end. */
async function endOf(
  start: () => Worker,
  name: string,
  take: (part: number, session: NativeSession) => void,
): Promise<PrepareProblem | undefined> {
  let worker: Worker;
  try {
    worker = start();
  } catch (error) {
    return { code: "out-of-memory", message: `${name}: a thread could not be started (${(error as Error).message})` };
  }
  return new Promise((resolve) => {
    let problem: PrepareProblem | undefined = {
      code: "engine",
      message: `${name}: a thread that prepares weights ended before it was done`,
    };
    worker.on("message", (reply: PrepareReply) => {
      problem = reply.problem;
      for (const { part, session } of reply.loaded) take(part, session);
    });
    worker.on("error", (error: NodeJS.ErrnoException) => {
      const isMemory = error.code === "ERR_WORKER_OUT_OF_MEMORY" || isOutOfMemory(error);
      problem = { code: isMemory ? "out-of-memory" : "engine", message: `${name}: ${error.message}` };
    });
    worker.on("exit", () => resolve(problem));
  });
}
