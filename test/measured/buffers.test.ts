/** Is the memory that is estimated for a graph what ONNX Runtime takes? Its process is asked for the most that it held. */
import { readFileSync, writeFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { neighbouringPixels } from "../../src/lowering/cpu/im2col.ts";
import { peakBufferBytes } from "../../src/onnx/buffers.ts";
import { addConstant, addInput, addOutput, createGraph, type Edge } from "../../src/onnx/graph.ts";
import * as ops from "../../src/onnx/ops.ts";
import { serialise } from "../../src/onnx/serialise.ts";
import { floatTensor } from "../../src/tensor.ts";
import { testEngine } from "../support/evaluate.ts";

const input = (shape: number[]) => addInput(createGraph("test"), "x", "float32", shape);
const filled = (x: Edge, shape: number[]) =>
  ops.floats(x.graph, new Float32Array(shape.reduce((a, b) => a * b)).fill(0.01), shape);

const normWithActivation = (x: Edge) => {
  const [items, channels, pixels] = [x.shape[0]!, x.shape[1]!, x.shape[2]! * x.shape[3]!];
  const grouped = ops.reshape(x, [1, items * 32, (channels / 32) * pixels]);
  const planes = ops.reshape(ops.instanceNormalization(grouped, 1e-5), [items, channels, pixels]);
  const scaled = ops.add(ops.multiply(planes, filled(x, [channels, 1])), filled(x, [channels, 1]));
  return ops.quickGelu(ops.reshape(scaled, x.shape), 1);
};
const conv = (x: Edge) =>
  ops.conv(x, filled(x, [x.shape[1]!, x.shape[1]!, 3, 3]), undefined, { strides: [1, 1], pads: [1, 1, 1, 1] });
const product = (rows: Edge, quantised: ops.QuantisedEdge, columns: number) => {
  const inner = rows.shape[1]!;
  const data = new Int8Array(inner * columns).fill(1);
  const matrix = addConstant(rows.graph, { dtype: "int8", shape: [inner, columns], data });
  return ops.matMulIntegerToFloat({ ...quantised, bytes: rows }, matrix, filled(rows, [columns]));
};

const graphs: Readonly<Record<string, { shape: number[]; layer: (x: Edge) => Edge }>> = {
  "a ResNet block in fp32": {
    shape: [1, 32, 512, 512],
    layer: (x) => ops.add(x, conv(normWithActivation(conv(normWithActivation(x))))),
  },
  "frames mixed and back, in fp32": {
    shape: [8, 32, 128, 256],
    layer: (x) => {
      const flat = ops.transpose(ops.reshape(x, [8, 32, 128 * 256]), [1, 0, 2]);
      const clip = ops.quickGelu(ops.reshape(flat, [1, 32, 8, 128 * 256]), 1);
      const back = ops.transpose(ops.reshape(clip, [32, 8, 128 * 256]), [1, 0, 2]);
      return normWithActivation(ops.add(ops.reshape(back, x.shape), x));
    },
  },
  "attention with a feed-forward layer": {
    shape: [8, 2048, 512],
    layer: (x) => {
      const attended = ops.add(x, ops.multiHeadAttention(x, x, x, 8));
      const rows = ops.reshape(attended, [8 * 2048, 512]);
      const wide = ops.gelu(ops.gemm(rows, filled(x, [2048, 512])));
      return ops.add(rows, ops.gemm(wide, filled(x, [512, 2048])));
    },
  },
  "a convolution in int8": {
    shape: [4, 128, 256, 64],
    layer: (x) => {
      const quantised = ops.dynamicQuantizeLinear(x);
      const window = { kernel: [3, 3], stride: 1, padding: [1, 1, 1, 1] } as const;
      const pixels = neighbouringPixels(quantised.bytes, quantised.zeroPoint, window);
      const rows = ops.reshape(pixels, [4 * 128 * 256, 9 * 64]);
      return ops.add(ops.reshape(product(rows, quantised, 64), x.shape), x);
    },
  },
};

const engine = testEngine();
setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
const heldAtMost = () => 1024 * Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))![1]);

describe.runIf(process.platform === "linux")("the estimate is within 25 % of what a run takes:", () => {
  it.each(Object.entries(graphs))("%s", async (_, { shape, layer }) => {
    const small = input([1]);
    const result = layer(ops.expand(small, shape));
    const rows = ops.reshape(result, [shape[0]! * 8, result.shape.reduce((a, b) => a * b) / (shape[0]! * 8)]);
    addOutput(small.graph, "y", ops.reduceMean(rows, [1]));
    const session = await engine().load({ name: "test", bytes: serialise(small.graph) });
    collectGarbage(); // else what the last test left goes in the middle of the run, and less seems to be taken
    writeFileSync("/proc/self/clear_refs", "5");
    const before = heldAtMost();
    await session.run({ x: floatTensor([1], Float32Array.of(0.5)) });
    const taken = heldAtMost() - before;
    await session.release();
    const ratio = peakBufferBytes(small.graph) / taken;
    const figures = `estimated ${peakBufferBytes(small.graph) / 1e6} MB, taken ${taken / 1e6} MB`;
    expect(ratio, figures).toBeGreaterThan(0.75);
    expect(ratio, figures).toBeLessThan(1.25);
  });
});
