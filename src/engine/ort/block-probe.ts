/** How many channels do this processor's convolutions work on at once? Asked of a small graph. */
import { addInput, addOutput, createGraph } from "../../onnx/graph.ts";
import { toFilledBlocks } from "../../onnx/operators/blocked.ts";
import { serialise } from "../../onnx/serialise.ts";
import type { OrtApi } from "./api.ts";
import type { OrtProvider } from "./provider.ts";
import type { WorkerCalls } from "./worker-calls.ts";

/** Fewer than a block of any processor, and as many as can be brought into blocks. */
const channels = 4;

/**
 * ONNX Runtime has blocks of 16 channels where there is AVX-512, of 8 with AVX, and none elsewhere; no function of it tells. A map of
 * 4 channels, brought into blocks, has as many as fill one.
 *
 * @returns 1 where there are none
 */
export async function channelBlockOf(worker: WorkerCalls, api: OrtApi, provider: OrtProvider): Promise<number> {
  const name = "block probe";
  const graph = createGraph(name);
  const x = addInput(graph, "x", "float32", [1, channels, 1, 1]);
  addOutput(graph, "y", toFilledBlocks(x));

  const bytes = new Uint8Array(serialise(graph));
  const sessionOptions = api.CreateSessionOptions();
  const runOptions = api.CreateRunOptions();
  const about = { name, bytes, weightsFolder: undefined, provider, threads: 1, sessionOptions };
  try {
    const session = await worker.call({ kind: "load", ...about });
    try {
      const inputs = { x: { dtype: x.dtype, shape: x.shape, buffer: new Float32Array(channels).buffer } };
      const { tensors } = await worker.call({ kind: "run", session, inputs, runOptions });
      const filled = tensors.y!.shape[1]!;
      return filled > channels ? filled : 1;
    } finally {
      await worker.call({ kind: "release", session });
    }
  } catch {
    return 1; // a library without these operators
  } finally {
    api.ReleaseRunOptions(runOptions);
    api.ReleaseSessionOptions(sessionOptions);
  }
}
