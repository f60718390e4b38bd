/** How does the engine talk to its worker thread? One call at a time, in order, each of which can be ended from here. */
import { type Transferable, Worker } from "node:worker_threads";
import { abortedError, StillmotionError } from "../../errors.ts";
import type { Reply, Request, Results, WorkerSetup } from "./messages.ts";

export interface CallOptions {
  readonly transfer?: readonly Transferable[];
  readonly signal?: AbortSignal | undefined;
  /** Makes the worker's call return early. Called while the worker is inside it, from this thread. */
  readonly interrupt?: () => void;
}

interface Call extends CallOptions {
  readonly request: Request | null;
  resolve(result: Results[keyof Results]): void;
  reject(error: StillmotionError): void;
}

/**
 * A worker thread and the calls that wait for it. The worker blocks inside each, so the order is kept on this side, where
 * a call that has not begun can still be taken back. Idle, it does not keep the process alive.
 */
export class WorkerCalls {
  readonly #worker: Worker;
  readonly #waiting: Call[] = [];
  #current: Call | undefined;
  /** Why no call can be made any more. */
  #ended: string | undefined;
  readonly #exited: Promise<void>;
  /** The worker's first reply. */
  readonly started: Promise<void>;

  constructor(program: URL, setup: WorkerSetup) {
    // The caller's own flags, such as --input-type, would not suit this program.
    this.#worker = new Worker(program, { workerData: setup, name: "stillmotion engine", execArgv: [] });
    this.started = new Promise((resolve, reject) => {
      this.#begin({ request: null, resolve: () => resolve(), reject });
    });
    this.#worker.on("message", (reply: Reply) => this.#settle(reply));
    this.#worker.on("error", (error) => this.#end(`the engine's worker failed: ${error.message}`));
    this.#exited = new Promise((resolve) => {
      this.#worker.once("exit", (code) => {
        this.#end(`the engine's worker ended with exit code ${code}`);
        resolve();
      });
    });
  }

  /**
   * Has the worker do what is asked, after everything asked before. Once the promise has settled, the worker is not
   * inside this call and never will be.
   */
  call<R extends Request>(request: R, options: CallOptions = {}): Promise<Results[R["kind"]]> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(abortedError(signal));
      if (this.#ended !== undefined) return reject(new StillmotionError("engine", this.#ended));
      const onAbort = () => {
        if (call === this.#current) return call.interrupt?.();
        this.#waiting.splice(this.#waiting.indexOf(call), 1);
        call.reject(abortedError(signal!));
      };
      const call: Call = {
        ...options,
        request,
        resolve(result) {
          signal?.removeEventListener("abort", onAbort);
          resolve(result as Results[R["kind"]]);
        },
        reject(error) {
          signal?.removeEventListener("abort", onAbort);
          reject(signal?.aborted ? abortedError(signal) : error);
        },
      };
      signal?.addEventListener("abort", onAbort);
      if (this.#current === undefined) this.#begin(call);
      else this.#waiting.push(call);
    });
  }

  /** Ends the current call early, refuses those that wait and all later ones, and has the worker release what it holds. */
  async stop(reason: string): Promise<void> {
    if (this.#ended === undefined) {
      const stopped = this.call({ kind: "stop" });
      this.#ended = reason;
      for (const call of this.#waiting.splice(0, this.#waiting.length)) {
        if (call.request?.kind === "stop") this.#waiting.push(call);
        else call.reject(new StillmotionError("engine", reason));
      }
      this.#current?.interrupt?.();
      await stopped.catch(() => {}); // a worker that ended by itself has nothing left to release
      this.#worker.ref();
    }
    await this.#exited;
  }

  #begin(call: Call): void {
    this.#current = call;
    this.#worker.ref();
    // process.exit() waits for the worker, which notices nothing while it is inside native code.
    process.on("exit", this.#interruptCurrent);
    if (call.request !== null) this.#worker.postMessage(call.request, call.transfer ?? []);
  }

  readonly #interruptCurrent = () => this.#current?.interrupt?.();

  #settle(reply: Reply): void {
    const call = this.#finish();
    if ("result" in reply) call?.resolve(reply.result);
    else if (this.#ended === undefined) call?.reject(new StillmotionError(reply.error.code, reply.error.message));
    else call?.reject(new StillmotionError("engine", this.#ended));
    const next = this.#waiting.shift();
    if (next !== undefined) this.#begin(next);
  }

  #finish(): Call | undefined {
    const call = this.#current;
    this.#current = undefined;
    this.#worker.unref();
    process.off("exit", this.#interruptCurrent);
    return call;
  }

  #end(reason: string): void {
    this.#ended ??= reason;
    const calls = [this.#finish(), ...this.#waiting.splice(0, this.#waiting.length)];
    for (const call of calls) call?.reject(new StillmotionError("engine", this.#ended));
  }
}
