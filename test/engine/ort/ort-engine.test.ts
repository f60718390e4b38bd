import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../../src/engine/engine.ts";
import { findOrtLibrary } from "../../../src/engine/ort/library.ts";
import { createOrtEngine } from "../../../src/engine/ort/ort-engine.ts";
import { describeEngine } from "../../../src/engine/ort/probe.ts";
import { cpuProvider, type OrtProvider } from "../../../src/engine/ort/provider.ts";
import type { DataType, Tensor, TensorData } from "../../../src/tensor.ts";
import { externalSum, identityModel, model, node, value } from "./test-models.ts";

let engine: Engine;
const folder = mkdtempSync(join(tmpdir(), "engine-test-"));
beforeAll(async () => {
  engine = await createOrtEngine({ threads: 2 });
});
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});

function tensor(dtype: DataType, shape: readonly number[], data: TensorData): Tensor {
  return { dtype, shape, data };
}

/** One value more than 64 bytes hold, and edge values of each type. */
const samples: [DataType, TensorData][] = [
  ["float32", Float32Array.from({ length: 17 }, (_, i) => i / 7 - 1)],
  ["float16", Uint16Array.from({ length: 33 }, (_, i) => 0x3c00 + i)],
  ["bfloat16", Uint16Array.from({ length: 33 }, (_, i) => 0x3f80 + i)],
  ["int64", BigInt64Array.from([-(2n ** 63n), -1n, 0n, 2n ** 53n + 1n, 2n ** 63n - 1n, 1n, 2n, 3n, 4n])],
  ["int32", Int32Array.from([-(2 ** 31), -1, 0, 1, 2 ** 31 - 1, ...Array(12).keys()])],
  ["int8", Int8Array.from({ length: 65 }, (_, i) => i - 100)],
  ["uint8", Uint8Array.from({ length: 65 }, (_, i) => i + 191)],
  ["bool", Uint8Array.from({ length: 65 }, (_, i) => i % 2)],
];

describe("a run", () => {
  it.each(samples)("takes and gives %s unchanged", async (dtype, data) => {
    const session = await engine.load({ name: dtype, bytes: identityModel(dtype, [data.length]) });
    expect(await session.run({ x: tensor(dtype, [data.length], data) })).toEqual({
      y: { dtype, shape: [data.length], data },
    });
    await session.release();
  });

  it("takes tensors of a few bytes, scalars and empty ones, many times over", async () => {
    for (const shape of [[], [1], [3], [0, 3]]) {
      const session = await engine.load({ name: "tiny", bytes: identityModel("float32", shape) });
      for (let i = 0; i < 200; i++) {
        const data = new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(i);
        const { y } = await session.run({ x: tensor("float32", shape, data) });
        expect(y).toEqual({ dtype: "float32", shape, data });
      }
      await session.release();
    }
  });

  it("leaves a Node Buffer and the memory it shares with others alone", async () => {
    const shared = Buffer.from([1, 2, 3, 4]);
    const session = await engine.load({ name: "copy", bytes: Buffer.from(identityModel("uint8", [4])) });
    const { y } = await session.run({ x: { dtype: "uint8", shape: [4], data: shared } });
    expect([...(y!.data as Uint8Array)]).toEqual([1, 2, 3, 4]);
    expect([...shared]).toEqual([1, 2, 3, 4]);
    await session.release();
  });

  it("reads a part of a larger buffer and leaves the caller's memory alone", async () => {
    const session = await engine.load({ name: "part", bytes: identityModel("float32", [4]) });
    const whole = Float32Array.from({ length: 1000 }, (_, i) => i);
    const running = session.run({ x: tensor("float32", [4], whole.subarray(500, 504)) });
    whole.fill(-1); // values are taken when run is called
    expect((await running).y!.data).toEqual(Float32Array.of(500, 501, 502, 503));
    expect(whole.length).toBe(1000);
    await session.release();
  });

  it("reads weights at any byte of a file in the weights' folder", async () => {
    const weights = Float32Array.from({ length: 32 }, (_, i) => i + 1);
    writeFileSync(join(folder, "odd.bin"), Buffer.concat([Buffer.alloc(3), Buffer.from(weights.buffer)]));
    const bytes = externalSum({ shape: [2, 16], weights: 1, location: "odd.bin", offsetBytes: 3 });
    const session = await engine.load({ name: "odd", bytes, weightsFolder: folder });
    const { y } = await session.run({ x: tensor("float32", [2, 16], new Float32Array(32).fill(0.5)) });
    expect(y!.data).toEqual(weights.map((weight) => weight + 0.5));
    await session.release();
  });

  it("gives every output under its name", async () => {
    const bytes = model({
      inputs: [value("a", "float32", [2]), value("b", "float32", [2])],
      outputs: [value("sum", "float32", [2]), value("product", "float32", [2])],
      nodes: [node("Add", ["a", "b"], ["sum"]), node("Mul", ["a", "b"], ["product"])],
    });
    const session = await engine.load({ name: "two outputs", bytes });
    const a = tensor("float32", [2], Float32Array.of(2, 3));
    const b = tensor("float32", [2], Float32Array.of(5, 7));
    const { sum, product } = await session.run({ b, a });
    expect([...sum!.data, ...product!.data]).toEqual([7, 10, 10, 21]);
    await session.release();
  });
});

describe("a failure says what ONNX Runtime said, and of which graph", () => {
  const x = tensor("float32", [2, 3], new Float32Array(6));

  it("bytes that are no model", async () => {
    await expect(engine.load({ name: "unet", bytes: new Uint8Array(100).fill(7) })).rejects.toMatchObject({
      code: "engine",
      message:
        "unet: the graph could not be loaded: ONNX Runtime: Failed to load model because protobuf parsing failed. (INVALID_PROTOBUF)",
    });
  });

  it("wrong inputs, after which the session still works", async () => {
    const session = await engine.load({ name: "unet", bytes: identityModel("float32", [2, 3]) });
    const failures: [Record<string, Tensor>, string, RegExp][] = [
      [{ x, z: x }, "internal", /^unet: nothing is called z, there are x, y$/],
      [{}, "internal", /^unet: no value for input x$/],
      [
        { x: tensor("float32", [3, 2], new Float32Array(6)) },
        "engine",
        /invalid dimensions for input: x .*Got: 3 Expected: 2/,
      ],
      [{ x: tensor("float32", [6], new Float32Array(6)) }, "engine", /Invalid rank for input: x Got: 1 Expected: 2/],
      [{ x: tensor("int32", [2, 3], new Int32Array(6)) }, "engine", /Unexpected input data type/],
      [
        { x: tensor("float32", [2, 3], new Float32Array(5)) },
        "internal",
        /^unet: x holds 5 values of 4 bytes, expected 6/,
      ],
      [{ x: tensor("int64", [2, 3], new Int32Array(6)) }, "internal", /expected 6 of 8 for int64 \[2, 3\]/],
    ];
    for (const [inputs, code, message] of failures) {
      await expect(session.run(inputs)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    }
    await expect(session.run({ x })).resolves.toEqual({ y: x });
    await session.release();
  });

  it("an output that does not fit in memory", async () => {
    const bytes = model({
      inputs: [value("x", "int64", [1])],
      outputs: [value("y", "float32", ["any"])],
      nodes: [node("ConstantOfShape", ["x"], ["y"])],
    });
    const session = await engine.load({ name: "vae decoder", bytes });
    const run = session.run({ x: tensor("int64", [1], BigInt64Array.of(2n ** 45n)) });
    await expect(run).rejects.toMatchObject({
      code: "out-of-memory",
      message: expect.stringContaining("vae decoder: "),
    });
    await session.release();
  });

  it("an output of a type that tensors do not have", async () => {
    const bytes = model({
      inputs: [value("x", "string", [1])],
      outputs: [value("y", "string", [0])],
      nodes: [node("Identity", ["x"], ["y"])],
      initializers: [{ name: "x", dims: [1n], dataType: 8, stringData: [new Uint8Array(1)] }],
    });
    const session = await engine.load({ name: "words", bytes });
    await expect(session.run({})).rejects.toMatchObject({ code: "unsupported" });
    await session.release();
  });

  it("weights that are missing or cut short", async () => {
    const bytes = externalSum({ shape: [64, 64], weights: 2, location: "short.bin" });
    const load = (weightsFolder: string) => engine.load({ name: "unet", bytes, weightsFolder });
    await expect(load(join(folder, "nowhere"))).rejects.toMatchObject({ code: "invalid-checkpoint" });
    await expect(load(folder)).rejects.toThrow(/short\.bin/);
    writeFileSync(join(folder, "short.bin"), new Uint8Array(20_000));
    await expect(load(folder)).rejects.toThrow(/w1 .*out of bounds/);
  });

  it("a session that was released", async () => {
    const session = await engine.load({ name: "unet", bytes: identityModel("float32", [2, 3]) });
    await Promise.all([session.release(), session.release()]);
    await expect(session.run({ x })).rejects.toThrow("unet: run was called after release");
  });
});

describe("an engine's options", () => {
  it("a provider that the library does not have is an error with those that it has", async () => {
    await expect(createOrtEngine({ provider: { name: "AbacusExecutionProvider" } })).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringMatching(/ has no AbacusExecutionProvider; it has .*CPUExecutionProvider/),
    });
  });

  it("what a provider is given reaches it: a wrong option is an error with the provider's name", async () => {
    const failure = async (provider: OrtProvider) => {
      const other = await createOrtEngine({ provider });
      const error = await other.load({ name: "unet", bytes: identityModel("float32", [1]) }).catch((thrown) => thrown);
      await other.dispose();
      return error;
    };
    expect(await failure({ ...cpuProvider, options: { layout: "wide" } })).toMatchObject({
      code: "engine",
      message: "unet: the graph could not be loaded: CPUExecutionProvider takes no options, got layout",
    });
    const name = "WebGpuExecutionProvider";
    if (!describeEngine().providers.includes(name)) return;
    expect(await failure({ name, options: { preferredLayout: "wide" } })).toMatchObject({
      code: "engine",
      message: expect.stringMatching(
        /^unet: the graph could not be loaded: WebGpuExecutionProvider: ONNX Runtime: .*Invalid preferred layout: wide/,
      ),
    });
  });

  it.each([0, 1.5, -1, Number.NaN])("%d threads are refused", async (threads) => {
    await expect(createOrtEngine({ threads })).rejects.toMatchObject({ code: "invalid-option" });
  });

  it("a library that is missing is an error", async () => {
    await expect(createOrtEngine({ libraryPath: "/nowhere.so" })).rejects.toMatchObject({ code: "engine" });
  });

  it("the CPU is the provider by default, with the library given", async () => {
    const other = await createOrtEngine({ libraryPath: findOrtLibrary() });
    const session = await other.load({ name: "copy", bytes: identityModel("uint8", [1]) });
    const x = tensor("uint8", [1], Uint8Array.of(7));
    expect(await session.run({ x })).toEqual({ y: x });
    await other.dispose();
  });
});
