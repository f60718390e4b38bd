/** Which models have weights that are worked out before the session is there? In int8, of files that hold them as float16. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { vi } from "vitest";
import type { Model } from "../../../src/engine/engine.ts";
import { float32ToFloat16 } from "../../../src/half.ts";
import { addInput, addInt8Matrix, addOutput, createGraph } from "../../../src/onnx/graph.ts";
import { add, dynamicQuantizeLinear, matMulIntegerToFloat } from "../../../src/onnx/ops.ts";
import { serialise } from "../../../src/onnx/serialise.ts";
import { splitGraph } from "../../../src/onnx/split-graph.ts";
import { floatTensor } from "../../../src/tensor.ts";

interface Weights {
  readonly folder: string;
  readonly file: string;
  /** Rows and columns of each weight. */
  readonly size: number;
  readonly count: number;
}

/** y = x w for each weight of the file, which holds one after the other. */
export function products({ folder, file, size, count }: Weights): Model {
  const graph = createGraph("products");
  const x = dynamicQuantizeLinear(addInput(graph, "x", "float32", [1, size]));
  for (let index = 0; index < count; index++) {
    const offset = 2 * index * size * size;
    const weight = { dtype: "float16", shape: [size, size], file, offset } as const;
    const { bytes, scales } = addInt8Matrix(graph, `w${index}`, weight);
    addOutput(graph, `y${index}`, matMulIntegerToFloat(x, bytes, scales));
  }
  const inParts = vi.fn((parts: number) => splitGraph(graph, parts).map(serialise));
  return { name: "products", bytes: serialise(graph), inParts, weightsFolder: folder, prepared: graph.prepared };
}

/** y = x w w ... with the first weight of the file as often as `count`, and z = x + x. */
export function chain({ folder, file, size, count }: Weights): Model {
  const graph = createGraph("chain");
  const x = addInput(graph, "x", "float32", [1, size]);
  let y = x;
  for (let index = 0; index < count; index++) {
    const weight = { dtype: "float16", shape: [size, size], file, offset: 0 } as const;
    const { bytes, scales } = addInt8Matrix(graph, `w${index}`, weight);
    y = matMulIntegerToFloat(dynamicQuantizeLinear(y), bytes, scales);
  }
  addOutput(graph, "y", y);
  addOutput(graph, "z", add(x, x));
  const inParts = vi.fn((parts: number) => splitGraph(graph, parts).map(serialise));
  return { name: "chain", bytes: serialise(graph), inParts, weightsFolder: folder, prepared: graph.prepared };
}

/** Each output of weight i is i + 1 times the sum of x. */
export function writeWeights({ folder, file, size, count }: Weights): void {
  const values = Float32Array.from({ length: count }, (_, index) => index + 1);
  const halves = float32ToFloat16(values);
  const data = new Uint16Array(count * size * size);
  for (const [index, half] of halves.entries()) data.fill(half, index * size * size, (index + 1) * size * size);
  writeFileSync(join(folder, file), data);
}

export const ones = (size: number) => ({ x: floatTensor([1, size], new Float32Array(size).fill(1)) });
