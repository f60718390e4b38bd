/** Where is a network cut, what travels between its segments, and what cannot be cut? */
import { expect, it } from "vitest";
import { createCpuFp32Lowering } from "../../src/lowering/cpu/fp32.ts";
import type { Lowering, Value } from "../../src/lowering/lowering.ts";
import { segmentsOf } from "../../src/lowering/segments.ts";
import { elementCount } from "../../src/tensor.ts";
import type { Weight } from "../../src/weights/view.ts";

function weight(name: string, ...shape: number[]): Weight {
  return { name, dtype: "float32", shape, file: "w.safetensors", offset: 0, sizeBytes: 4 * elementCount(shape) };
}

const norm = (x: Value, over: "frame" | "clip"): Value =>
  x.lowering.groupNorm(x, weight("n.weight", 4), weight("n.bias", 4), { groups: 2, eps: 1e-5, over });
const temporal = (x: Value, gain?: Value): Value =>
  x.lowering.temporalConv(x, weight("t.weight", 4, 4, 3, 1, 1), weight("t.bias", 4), gain);

/** The segments of a network of three frames of 5 x 6 with 4 channels. */
function cut(build: (x: Value, lowering: Lowering) => Value) {
  return segmentsOf("test", createCpuFp32Lowering, (lowering) =>
    lowering.output("y", build(lowering.inputPlanes("x", [3, 5, 6, 4]), lowering)),
  );
}

it("leaves a network whole in which frames never meet", () => {
  const [only, ...others] = cut((x, { activation }) => activation(norm(x, "frame"), "silu"));
  expect(others).toEqual([]);
  expect(only).toMatchObject({ reads: [{ input: "x", shape: [3, 4, 5, 6], neighbours: 0 }], writes: [{ name: "y" }] });
});

it("cuts before a temporal convolution, which reads a frame more at both ends", () => {
  const [before, after, ...others] = cut((x, { sigmoid }) => temporal(sigmoid(x)));
  expect(others).toEqual([]);
  expect(before!.writes).toEqual([{ name: "map1", frameSize: 120 }]);
  expect(after!.reads).toMatchObject([{ map: before!.writes[0], shape: [5, 4, 5, 6], neighbours: 1 }]);
  expect(after!.graph.outputs.map(({ shape }) => shape)).toEqual([[3, 5, 6, 4]]);
  expect(before!.gathers).toBeUndefined();
  expect(after!.normalises).toBeUndefined();
});

it("hands on the statistics of a norm over the clip, and what is used again later", () => {
  const [first, second] = cut((x, { add }) => add(x, temporal(norm(x, "clip"))));
  expect(first!.gathers).toMatchObject({ map: { name: "x" }, groups: 2 });
  expect(first!.graph.outputs.map(({ shape }) => shape)).toEqual([
    [3, 2],
    [3, 2],
  ]);
  expect(second!.normalises).toMatchObject({ map: { name: "x" }, eps: 1e-5 });
  expect(second!.reads.map(({ map, neighbours }) => [map.name, neighbours])).toEqual([
    ["x", 1],
    ["x", 0],
  ]);
});

it("makes what belongs to no frame anew in each segment", () => {
  const segments = cut((x, { parameter, sigmoid }) => {
    const gain = sigmoid(parameter(weight("gain", 1)));
    return temporal(temporal(x, gain), gain);
  });
  const uses = segments.slice(1).map(({ graph }) => graph.initializers.has("gain"));
  expect(uses).toEqual([true, true]);
  for (const { reads } of segments) expect(reads).toHaveLength(1);
});

const attentionAcrossItems = (x: Value) => x.lowering.attentionAcrossItems(x, x, x, 2);

it.each<[string, (x: Value) => Value]>([
  ["attentionAcrossItems", (x) => attentionAcrossItems(x.lowering.reshape(x, [3, 30, 4]))],
  ["reshape", (x) => x.lowering.reshape(x, [1, 15, 6, 4])],
  ["select", (x) => x.lowering.select(x, 0, 1)],
  ["concat", (x) => x.lowering.concat([x, x], 0)],
  ["repeat", (x) => x.lowering.repeat(x, 3)],
])("refuses %s, which may bring frames together", (name, build) => {
  expect(() => cut(build)).toThrow(`${name} may bring frames together, so the network cannot be cut`);
});

it("refuses a norm over the clip that no temporal convolution follows", () => {
  const problem = "a norm over the clip does not stand right before a temporal convolution";
  expect(() => cut((x, { activation }) => activation(norm(x, "clip"), "silu"))).toThrow(problem);
  expect(() => cut((x) => norm(x, "clip"))).toThrow(problem);
  expect(() => cut((x) => temporal(norm(norm(x, "clip"), "clip")))).toThrow(problem);
});
