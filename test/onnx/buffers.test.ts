/** Which buffers are held at the same time while a graph runs? `test/measured/buffers.test.ts` asks ONNX Runtime. */
import { describe, expect, it } from "vitest";
import { peakBufferBytes } from "../../src/onnx/buffers.ts";
import { addInput, addOutput, createGraph, type Edge } from "../../src/onnx/graph.ts";
import { blockedConv } from "../../src/onnx/operators/blocked.ts";
import * as ops from "../../src/onnx/ops.ts";

const input = (shape: number[]) => addInput(createGraph("test"), "x", "float32", shape);
const filled = (x: Edge, shape: number[]) =>
  ops.floats(x.graph, new Float32Array(shape.reduce((a, b) => a * b)).fill(0.01), shape);
const megabyte = [250_000];

describe("buffers of one run", () => {
  const peakOf = (layer: (x: Edge) => Edge) => {
    const x = input(megabyte);
    addOutput(x.graph, "y", layer(x));
    return peakBufferBytes(x.graph) / 1e6;
  };

  it("are used again for values of the same shape, however many there are", () => {
    const chain = (length: number) => peakOf((x) => Array.from({ length }).reduce<Edge>((y) => ops.sqrt(y), x));
    expect(chain(1)).toBe(3); // the input, the value, and the result that is a copy of it
    expect(chain(2)).toBe(3);
    expect(chain(10)).toBe(3); // beside the input each step reads one buffer and writes another
    expect(chain(20)).toBe(3);
  });

  it("are overwritten by the operators that can, once nobody else reads them", () => {
    const mean = (x: Edge) => ops.reduceMean(x, [0]);
    expect(peakOf((x) => mean(ops.sigmoid(ops.sqrt(x))))).toBeCloseTo(2, 3);
    expect(peakOf((x) => mean(ops.sqrt(ops.sqrt(x))))).toBeCloseTo(3, 3);
  });

  it("hold the result where a convolution in blocks adds a map that nobody else reads", () => {
    const x = input([1, 16, 125, 125]); // a megabyte
    const added = (map: Edge) => blockedConv(map, filled(x, [16, 16, 1, 1]), undefined, { sum: ops.sqrt(map) });
    addOutput(x.graph, "y", ops.sqrt(added(x)));
    expect(peakBufferBytes(x.graph) / 1e6).toBe(3); // beside the input the sum, and what is made of it
  });

  it("of many shapes pile up: one that is used again later is held in between", () => {
    const through = (shapes: number[][]) =>
      peakOf((x) => shapes.reduce((y, shape) => ops.sqrt(ops.reshape(y, shape)), ops.sqrt(x)));
    const there = [500, 500];
    expect(through([there, there, there])).toBe(through([megabyte, megabyte, megabyte]));
    const back = through([there, [1000, 250], [250, 1000], megabyte, there, [1000, 250], megabyte]);
    expect(back).toBeGreaterThan(through([megabyte, megabyte, megabyte, megabyte, megabyte, megabyte, megabyte]) + 1);
  });
});
