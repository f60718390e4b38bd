/** Does a session read the int8 matrices that it was given, or has it packed them in a form of its own? Asked of a small one. */
import { addInput, addInt8Matrix, addOutput, createGraph } from "../../onnx/graph.ts";
import { dynamicQuantizeLinear, matMulIntegerToFloat } from "../../onnx/ops.ts";
import { serialise } from "../../onnx/serialise.ts";
import type { Model } from "../engine.ts";
import { nativeCells, type OrtApi } from "./api.ts";
import { defaultMemory, deviceAllocator } from "./session.ts";
import { valueOver } from "./values.ts";
import type { WorkerCalls } from "./worker-calls.ts";

const size = 64;

/**
 * Packing depends on the processor, and no function of ONNX Runtime tells. A matrix of ones is set to 0 after a session was
 * made with it: where the product stays, the session has ones of its own.
 *
 * @param file a file in the model's folder, which ONNX Runtime wants to see and does not read
 */
export async function packsMatrices(
  worker: WorkerCalls,
  api: OrtApi,
  { threads, model, file }: { threads: number; model: Model; file: string },
): Promise<boolean> {
  const name = "packing probe";
  const graph = createGraph(name);
  const x = dynamicQuantizeLinear(addInput(graph, "x", "float32", [1, size]));
  const edges = addInt8Matrix(graph, "w", { dtype: "float32", shape: [size, size], file, offset: 0 });
  addOutput(graph, "y", matMulIntegerToFloat(x, edges.bytes, edges.scales));

  const matrix = new Int8Array(size * size).fill(1);
  const scales = new Float32Array(size).fill(1);
  const sessionOptions = api.CreateSessionOptions();
  const memoryInfo = api.CreateCpuMemoryInfo(deviceAllocator, defaultMemory);
  const values = nativeCells(2);
  try {
    for (const [index, [edge, data]] of (
      [
        [edges.bytes, matrix],
        [edges.scales, scales],
      ] as const
    ).entries()) {
      values[index] = valueOver(api, memoryInfo, { dtype: edge.dtype, shape: edge.shape, memory: data });
      api.AddInitializer(sessionOptions, edge.name, values[index]!);
    }
    const bytes = new Uint8Array(serialise(graph));
    const { weightsFolder } = model;
    const about = { name, bytes, weightsFolder, threads, sessionOptions };
    const session = await worker.call({ kind: "load", ...about, packsWeights: true });
    try {
      matrix.fill(0);
      const runOptions = api.CreateRunOptions();
      const ones = new Float32Array(size).fill(1).buffer;
      const inputs = { x: { dtype: "float32", shape: [1, size], buffer: ones } } as const;
      const { tensors } = await worker
        .call({ kind: "run", session, inputs, runOptions })
        .finally(() => api.ReleaseRunOptions(runOptions));
      return new Float32Array(tensors.y!.buffer).every((value) => value > 0);
    } finally {
      await worker.call({ kind: "release", session });
    }
  } finally {
    for (const value of values) if (value !== 0n) api.ReleaseValue(value);
    api.ReleaseMemoryInfo(memoryInfo);
    api.ReleaseSessionOptions(sessionOptions);
  }
}
