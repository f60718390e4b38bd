/**
 * Do the parts of a graph make together what the whole one makes, and is it cut where it should be?
 *
 * Golden: python -m reference.golden networks (reference/golden/networks.py), diffusers 0.42.1
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { createCpuInt8Lowering } from "../../src/lowering/cpu/int8.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import {
  addExternal,
  addInput,
  addInt8Matrix,
  addOutput,
  createGraph,
  type Edge,
  type Graph,
} from "../../src/onnx/graph.ts";
import * as ops from "../../src/onnx/ops.ts";
import { serialise } from "../../src/onnx/serialise.ts";
import { splitGraph } from "../../src/onnx/split-graph.ts";
import { floatTensor, type Tensor } from "../../src/tensor.ts";
import { testEngine } from "../support/evaluate.ts";
import { readGolden } from "../support/golden.ts";
import { networksOf } from "../support/platform.ts";
import { runNetwork, unetCall } from "../support/unet-call.ts";

const engine = testEngine();

const namesOf = (edges: readonly Edge[]) => edges.map(({ name }) => name);

/** Hands each part what it asks for of the inputs and of what earlier parts gave. */
async function runInTurn(
  parts: readonly Graph[],
  weightsFolder: string,
  inputs: Readonly<Record<string, Tensor>>,
): Promise<Record<string, Tensor>> {
  const values: Record<string, Tensor> = { ...inputs };
  for (const graph of parts) {
    const model = { name: graph.name, bytes: serialise(graph), weightsFolder, prepared: graph.prepared };
    const given = namesOf(graph.inputs).map((name) => [name, values[name]!] as const);
    Object.assign(values, await runNetwork(engine(), { graph, model }, Object.fromEntries(given)));
  }
  return values;
}

describe("the UNet in int8", () => {
  it.each([2, 3, 5])("is the same to the bit in %i parts", async (count) => {
    const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "checkpoints", "two-levels-fp32"));
    const golden = await readGolden("models", "golden", "two-levels-fp32.unet.safetensors");
    const [variant] = Object.keys(golden.details.variants as object);
    const { size, inputs } = unetCall((argument) => golden.tensor(`input.${variant}.${argument}`), 0);
    const { write } = networksOf(checkpoint, { create: createCpuInt8Lowering });
    const { image_embedding, ...others } = inputs;
    const { conditioning } = await runNetwork(engine(), write.conditioning(size), { image_embedding });
    const call = { ...others, conditioning: conditioning! };
    const whole = write.unet(size);
    const parts = splitGraph(whole.graph, count);
    expect(parts.length).toBe(count);
    const { sample } = await runInTurn(parts, whole.model.weightsFolder!, call);
    expect(sample).toEqual((await runNetwork(engine(), whole, call)).sample);
  });
});

const width = 256;
const weight = (index: number) => {
  return { dtype: "float16", shape: [width, width], file: "w", offset: 2 * index * width * width } as const;
};

/** `rows` rows times a matrix. */
function product(x: Edge, index: number): Edge {
  const { bytes, scales } = addInt8Matrix(x.graph, `w${index}`, weight(index));
  return ops.matMulIntegerToFloat(ops.dynamicQuantizeLinear(x), bytes, scales);
}

function chain(matrices: readonly number[], rows = 4): Graph {
  const graph = createGraph("chain");
  let x = addInput(graph, "x", "float32", [rows, width]);
  for (const index of matrices) x = product(x, index);
  addOutput(graph, "y", x);
  return graph;
}

const matricesOf = ({ initializers }: Graph) =>
  Array.from(initializers.keys()).filter((name) => name.endsWith("matrix"));

describe("a graph", () => {
  it("is cut where each part has as much to load, and only what comes from a weight travels with it", () => {
    const parts = splitGraph(chain([0, 1, 2, 3, 4, 5, 6, 7]), 4);
    const matrices = parts.map(matricesOf);
    expect(matrices.map(({ length }) => length)).toEqual([2, 2, 2, 2]);
    expect(matrices.flat()).toEqual(Array.from({ length: 8 }, (_, index) => `w${index}:int8 matrix`));
    expect(parts[0]!.inputs.map(({ name }) => name)).toEqual(["x"]);
    expect(parts.at(-1)!.outputs.map(({ name }) => name)).toEqual(["y"]);
    for (const [index, part] of parts.slice(1).entries()) {
      expect(namesOf(part.inputs)).toEqual(namesOf(parts[index]!.outputs));
    }
  });

  it("is cut where little goes across, not in the middle of a wide place", () => {
    const graph = createGraph("wide");
    const x = addInput(graph, "x", "float32", [1, width]);
    let y = product(x, 0);
    const addTimes = (count: number) => {
      for (let node = 0; node < count; node++) y = ops.add(y, y);
    };
    addTimes(56);
    y = ops.expand(y, [1000, width]);
    addTimes(7); // the middle is among these
    y = ops.slice(y, 0, 0, 1);
    addTimes(65);
    addOutput(graph, "y", product(y, 1));
    const [first, second, ...others] = splitGraph(graph, 2);
    expect([second!.inputs.map(({ shape }) => shape), others]).toEqual([[[1, width]], []]);
    expect([first, second].flatMap((part) => matricesOf(part!)).length).toBe(2);
  });

  it("stays whole where much would go across everywhere", () => {
    const graph = createGraph("wide");
    const x = addInput(graph, "x", "float32", [1, width]);
    let wide = ops.expand(x, [260_000, width]); // 266 MB
    for (let node = 0; node < 100; node++) wide = ops.add(wide, wide);
    addOutput(graph, "y", wide);
    const [whole, ...others] = splitGraph(graph, 2);
    expect([whole!.nodes.length, others]).toEqual([graph.nodes.length, []]);
  });

  it("is not cut between nodes that read one matrix, where there is another place", () => {
    const parts = splitGraph(chain([...Array(40).fill(0), ...Array(43).fill(1)]), 2);
    expect(parts.map(matricesOf)).toEqual([["w0:int8 matrix"], ["w1:int8 matrix"]]);
  });

  it("has what is made of weights alone made in each part, and not handed on", async () => {
    const graph = createGraph("casts");
    let x = addInput(graph, "x", "float32", [1, 4]);
    const stored = addExternal(graph, "w", "float16", [4], { file: "w", offset: 0, sizeBytes: 8 });
    const weights = ops.cast(stored, "float32");
    for (let node = 0; node < 40; node++) x = ops.add(x, weights);
    addOutput(graph, "y", x);
    for (const part of splitGraph(graph, 2)) {
      expect(part.nodes.filter(({ operator }) => operator.name === "Cast").length).toBe(1);
      expect([part.inputs.length, part.outputs.length]).toEqual([1, 1]);
    }
  });

  it("gives results in the part that makes them, and hands on to whichever part reads", async () => {
    const graph = createGraph("results");
    const x = addInput(graph, "x", "float32", [1, 2]);
    const early = ops.add(x, x); // 2x, read again at the end
    addOutput(graph, "early", early);
    let y = early;
    for (let node = 0; node < 60; node++) y = ops.add(y, x);
    addOutput(graph, "late", ops.add(y, early)); // 64x
    const folder = mkdtempSync(join(tmpdir(), "split-graph-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const parts = splitGraph(graph, 3);
    expect(parts.length).toBe(3);
    expect(parts.map(({ outputs }) => namesOf(outputs).filter((name) => !name.includes(":")))).toEqual([
      ["early"],
      [],
      ["late"],
    ]);
    const { early: first, late } = await runInTurn(parts, folder, { x: floatTensor([1, 2], Float32Array.of(1, -3)) });
    expect([first!.data, late!.data]).toEqual([Float32Array.of(2, -6), Float32Array.of(64, -192)]);
  });
});
