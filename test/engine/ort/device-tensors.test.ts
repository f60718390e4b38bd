/** Do outputs stay on the device until they are released, and can runs of other sessions read them there? */
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Engine } from "../../../src/engine/engine.ts";
import { createOrtEngine } from "../../../src/engine/ort/ort-engine.ts";
import { cpuProvider, type OrtProvider } from "../../../src/engine/ort/provider.ts";
import { floatTensor } from "../../../src/tensor.ts";
import { identityModel, model, node, value } from "./test-models.ts";

/** y = 2 x and z = x x. */
const twoOutputs = {
  name: "two outputs",
  bytes: model({
    inputs: [value("x", "float32", [4])],
    outputs: [value("y", "float32", [4]), value("z", "float32", [4])],
    nodes: [node("Add", ["x", "x"], ["y"]), node("Mul", ["x", "x"], ["z"])],
  }),
};
const four = { name: "four", bytes: identityModel("float32", [4]) };
const x = floatTensor([4], Float32Array.of(1, 2, 3, 4));
const doubled = floatTensor([4], Float32Array.of(2, 4, 6, 8));

// With a memory of its own named, the CPU takes the way of such devices: bindings, and copies by a graph.
describe.each<[string, OrtProvider]>([
  ["in the host's memory", cpuProvider],
  ["in a memory that has a name", { ...cpuProvider, memory: "Cpu" }],
])("an output that stays %s", (_, provider) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await createOrtEngine({ threads: 2, provider });
  });
  afterAll(() => engine.dispose());

  it("is read by runs of other sessions, also when the one that made it is released, and is copied when asked for", async () => {
    const first = await engine.load(twoOutputs);
    const second = await engine.load(four);
    const made = await first.run({ x }, { keep: ["y"] });
    const { y } = made;
    expect(made.z).toEqual(floatTensor([4], Float32Array.of(1, 4, 9, 16)));
    expect(y).toMatchObject({ dtype: "float32", shape: [4] });
    expect(y).not.toHaveProperty("data");
    expect(await second.run({ x: y })).toEqual({ y: doubled });
    await first.release();
    expect(await y.read()).toEqual(doubled);
    expect(await second.run({ x: y })).toEqual({ y: doubled });
    await y.release();
    await second.release();
  });

  it("is its own, whatever later runs make", async () => {
    const session = await engine.load(twoOutputs);
    const { y, z } = await session.run({ x }, { keep: ["y", "z"] });
    const { y: later } = await session.run({ x: z }, { keep: ["y"] });
    expect((await y.read()).data).toEqual(doubled.data);
    expect((await z.read()).data).toEqual(Float32Array.of(1, 4, 9, 16));
    expect((await later.read()).data).toEqual(Float32Array.of(2, 8, 18, 32));
    await session.release();
    for (const tensor of [y, z, later]) await tensor.release();
  });

  it("may have a size that only the run tells, or none", async () => {
    const bytes = model({
      inputs: [value("x", "int32", ["any", 2])],
      outputs: [value("y", "int32", ["any", 2])],
      nodes: [node("Identity", ["x"], ["y"])],
    });
    const workspace = await engine.openWorkspace({ tensorBytes: 0, runBytes: 1e6 });
    const session = await engine.load({ name: "any size", bytes }, { workspace });
    const tensors = [3, 0].map((rows) => {
      return { dtype: "int32", shape: [rows, 2], data: Int32Array.from({ length: 2 * rows }, (_, i) => i) } as const;
    });
    const kept = [];
    for (const tensor of tensors) kept.push((await session.run({ x: tensor }, { keep: ["y"] })).y);
    await session.release();
    await workspace.release();
    expect(await Promise.all(kept.map((each) => each.read()))).toEqual(tensors);
    for (const each of kept) await each.release();
  });

  it("travels in no message", async () => {
    const replies: unknown[] = [];
    const watch = (worker: Worker) => worker.on("message", (reply) => replies.push(reply));
    process.once("worker", watch);
    const own = await createOrtEngine({ threads: 1, provider });
    const requests = vi.spyOn(Worker.prototype, "postMessage");
    try {
      const session = await own.load(four);
      requests.mockClear();
      replies.length = 0;
      const { y } = await session.run({ x }, { keep: ["y"] });
      const { y: next } = await session.run({ x: y }, { keep: ["y"] });
      const transferred = requests.mock.calls.map(([, transfer]) => transfer as unknown as ArrayBuffer[]);
      expect(transferred.map((buffers) => buffers.length)).toEqual([1, 0]); // what JavaScript gave, and then nothing
      expect(replies).toEqual([1, 2].map(() => ({ result: { tensors: {}, kept: { y: expect.anything() } } })));
      expect(await next.read()).toEqual(x);
    } finally {
      requests.mockRestore();
      await own.dispose();
    }
  });

  it("is refused when it was released, with what to do", async () => {
    const session = await engine.load(four);
    const { y } = await session.run({ x }, { keep: ["y"] });
    await Promise.all([y.release(), y.release()]);
    await expect(y.read()).rejects.toMatchObject({
      code: "engine",
      message: "the tensor on the device was released; release it after the last call that needs it",
    });
    await expect(session.run({ x: y })).rejects.toMatchObject({
      code: "engine",
      message: "four: x was released; release it after the last call that needs it",
    });
    expect(await session.run({ x })).toEqual({ y: x });
    await session.release();
  });

  it("is there for runs that were called before its release", async () => {
    const session = await engine.load(four);
    const { y } = await session.run({ x }, { keep: ["y"] });
    const runs = [session.run({ x: y }), session.run({ x: y }), y.read()];
    await y.release();
    expect(await Promise.all(runs)).toEqual([{ y: x }, { y: x }, x]);
    await session.release();
  });

  it("is refused by another engine, and where the engine has ended", async () => {
    const other = await createOrtEngine({ threads: 1, provider });
    const [session, ofOther] = [await engine.load(four), await other.load(four)];
    const { y } = await ofOther.run({ x }, { keep: ["y"] });
    const { y: left } = await ofOther.run({ x }, { keep: ["y"] });
    await expect(session.run({ x: y })).rejects.toMatchObject({
      code: "engine",
      message: "four: x lies on the device of another engine; give what its read() copies",
    });
    expect(await session.run({ x: await y.read() })).toEqual({ y: x });
    await other.dispose();
    await expect(left.read()).rejects.toMatchObject({ code: "engine", message: "the engine was disposed" });
    await expect(ofOther.run({ x: left })).rejects.toThrow("the engine was disposed");
    for (const tensor of [y, left, y]) await tensor.release();
    await session.release();
  });

  it("must be an output that has no place", async () => {
    const workspace = await engine.openWorkspace({ tensorBytes: 16, runBytes: 0 });
    const session = await engine.load(twoOutputs, { workspace });
    const place = floatTensor([4], new Float32Array(workspace.tensors, 0, 4));
    for (const keep of [["x"], ["feature"], ["y", "z"]] as const) {
      await expect(session.run({ x }, { keep, outputs: { z: place } })).rejects.toMatchObject({
        code: "internal",
        message: `two outputs: ${keep.at(-1)} cannot be kept, expected outputs that have no place: y`,
      });
    }
    const { y, z } = await session.run({ x }, { keep: ["y"], outputs: { z: place } });
    expect(z).toBe(place);
    expect([...place.data]).toEqual([1, 4, 9, 16]);
    expect(await y.read()).toEqual(doubled);
    await y.release();
    await session.release();
    await workspace.release();
  });
});
