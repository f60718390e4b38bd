/** Which execution providers really work on this machine? Each is tried in a process of its own: a driver may crash or hang. */
import { fork } from "node:child_process";
import { programUrl } from "../../node/installed-package.ts";
import { availableProviders, openOrtApi } from "./api.ts";
import { findOrtLibrary } from "./library.ts";

/** ONNX Runtime as it is installed. */
export interface EngineDescription {
  readonly libraryPath: string;
  /** E.g. `1.30.0`. */
  readonly version: string;
  /** The providers compiled into the library, whether or not this machine can start them. */
  readonly providers: readonly string[];
}

export interface ProviderProbe {
  readonly provider: string;
  /** Why no session starts with it; absent when one does. */
  readonly failure?: string;
}

/** What the probe's child process is asked. */
export interface ProbeQuestion {
  readonly libraryPath: string;
  readonly provider: string;
  readonly model: Uint8Array;
}

/**
 * Says which library is used and what it contains.
 *
 * @throws StillmotionError `engine` when the library is missing, too old or not ONNX Runtime
 */
export function describeEngine({ libraryPath = findOrtLibrary() } = {}): EngineDescription {
  const api = openOrtApi(libraryPath);
  return { libraryPath, version: api.version, providers: availableProviders(api) };
}

/**
 * Starts a session of `model`, any small graph without external weights, with each provider of the library.
 *
 * @param timeoutMs time for one provider; default 30 s
 */
export async function probeProviders(
  model: Uint8Array,
  { libraryPath = findOrtLibrary(), timeoutMs = 30_000 } = {},
): Promise<ProviderProbe[]> {
  const probes: ProviderProbe[] = [];
  for (const provider of describeEngine({ libraryPath }).providers) {
    const failure = await failureOf({ libraryPath, provider, model }, timeoutMs);
    probes.push(failure === undefined ? { provider } : { provider, failure });
  }
  return probes;
}

function failureOf(question: ProbeQuestion, timeoutMs: number): Promise<string | undefined> {
  const program = programUrl("engine/ort/probe-child");
  return new Promise((resolve) => {
    const child = fork(program, {
      execArgv: [],
      serialization: "advanced",
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      resolve(`no answer within ${timeoutMs / 1000} s`);
    }, timeoutMs);
    const settle = (failure: string | undefined) => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      resolve(failure);
    };
    child.once("message", (answer: { failure?: string }) => settle(answer.failure));
    child.once("error", (error) => settle(error.message));
    child.once("exit", (code, signal) => settle(`the process ended with ${signal ?? `exit code ${code}`}`));
    child.send(question);
  });
}
