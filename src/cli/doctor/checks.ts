/** Is this installation sound? Each thing that a run needs is tried by itself. */
import { arch, availableParallelism, cpus, platform, totalmem } from "node:os";
import { bytesText } from "../../byte-sizes.ts";
import { describeEngine, probeProviders } from "../../engine/ort/probe.ts";
import { StillmotionError } from "../../errors.ts";
import { createCpuFp32Lowering } from "../../lowering/cpu/fp32.ts";
import { createGraph } from "../../onnx/graph.ts";
import { serialise } from "../../onnx/serialise.ts";
import { packageVersion } from "../package-files.ts";
import { countText } from "../units.ts";
import { checkParity } from "./parity.ts";

export interface Check {
  readonly name: string;
  /** `absent` is for what is not there and not needed. */
  readonly state: "ok" | "failed" | "absent";
  readonly detail: string;
}

/** What the machine is, as a table. */
export function describeMachine(): Record<string, string> {
  const processors = cpus();
  return {
    stillmotion: packageVersion(),
    node: `${process.versions.node} (${platform()} ${arch()})`,
    cpu: `${processors[0]?.model.trim() ?? "unknown"}, ${countText(availableParallelism(), "thread")}`,
    memory: `${bytesText(Math.min(process.constrainedMemory() || Infinity, totalmem()))}, ${bytesText(process.availableMemory())} available`,
  };
}

/** One check after the other, each as soon as its result is known. */
export async function* runChecks(options: {
  libraryPath: string | undefined;
  checkpoint: () => string;
}): AsyncGenerator<Check> {
  const library = options.libraryPath === undefined ? {} : { libraryPath: options.libraryPath };
  const engine = await attempt("onnxruntime", () => {
    const { version, libraryPath } = describeEngine(library);
    return `${version}, ${libraryPath}`;
  });
  yield engine;
  if (engine.state === "failed") return;

  for (const { provider, failure } of await probeProviders(squaringModel(), library)) {
    const state = failure === undefined ? "ok" : provider === "CPUExecutionProvider" ? "failed" : "absent";
    yield { name: provider, state, detail: failure === undefined ? "starts" : `does not start: ${reasonOf(failure)}` };
  }
  yield await attempt("parity", () => checkParity(options.checkpoint(), library));
}

async function attempt(name: string, work: () => string | Promise<string>): Promise<Check> {
  try {
    return { name, state: "ok", detail: await work() };
  } catch (error) {
    if (!(error instanceof StillmotionError)) throw error;
    return { name, state: "failed", detail: error.message };
  }
}

/** The end of ONNX Runtime's message. What comes before tells where in its code the check was. */
function reasonOf(failure: string): string {
  return failure.split("\n")[0]!.replace(/^.*(ONNX Runtime: | was false\. )/, "");
}

/** y = x * x, on four numbers. */
function squaringModel(): Uint8Array {
  const graph = createGraph("squares");
  const lowering = createCpuFp32Lowering(graph);
  const x = lowering.input("x", [1, 4]);
  lowering.output("y", lowering.multiply(x, x));
  return serialise(graph);
}
