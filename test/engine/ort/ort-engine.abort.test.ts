import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, Session } from "../../../src/engine/engine.ts";
import { createOrtEngine } from "../../../src/engine/ort/ort-engine.ts";
import { floatTensor } from "../../../src/tensor.ts";
import { endlessModel, endlessSize, identityModel, matMulChain } from "./test-models.ts";

const inputs = { x: floatTensor([endlessSize, endlessSize]) };
const short = { x: floatTensor([2], Float32Array.of(1, 2)) };
let engine: Engine;
let long: Session;
let quick: Session;

beforeAll(async () => {
  engine = await createOrtEngine({ threads: 2 });
  long = await engine.load(endlessModel());
  quick = await engine.load({ name: "quick", bytes: identityModel("float32", [2]) });
}, 60_000);
afterAll(() => engine.dispose());

describe("a signal", () => {
  it("ends a run in the middle, after which the session works", async () => {
    const half = await engine.load({ name: "half", bytes: matMulChain(1024, 10) });
    const x = { x: floatTensor([1024, 1024]) };
    const expected = await half.run(x);
    for (const afterMs of [0, 1, 20, 300]) {
      const controller = new AbortController();
      const running = long.run(inputs, { signal: controller.signal });
      await sleep(afterMs);
      controller.abort(new Error("enough"));
      await expect(running).rejects.toMatchObject({ code: "aborted", cause: new Error("enough") });
    }
    const interrupted = new AbortController();
    const running = half.run(x, { signal: interrupted.signal });
    interrupted.abort();
    await expect(running).rejects.toMatchObject({ code: "aborted" });
    expect(await half.run(x)).toEqual(expected);
    await half.release();
  });

  it("that has fired already starts nothing", async () => {
    const signal = AbortSignal.abort();
    await expect(quick.run(short, { signal })).rejects.toMatchObject({ code: "aborted" });
    await expect(engine.load({ name: "x", bytes: new Uint8Array(1) }, { signal })).rejects.toMatchObject({
      code: "aborted",
    });
  });

  it("takes back a run that waits, at once, and spares the others", async () => {
    const first = new AbortController();
    const second = new AbortController();
    const settled: string[] = [];
    const runs = [
      long.run(inputs, { signal: first.signal }).catch(() => settled.push("first")),
      long.run(inputs, { signal: second.signal }).catch(() => settled.push("second")),
      quick.run(short).then(() => settled.push("third")),
    ];
    await sleep(20);
    second.abort();
    await runs[1];
    expect(settled).toEqual(["second"]);
    first.abort();
    await Promise.all(runs);
    expect(settled).toEqual(["second", "first", "third"]);
  });

  it("shared by many runs ends them all", async () => {
    const controller = new AbortController();
    const runs = Array.from({ length: 5 }, () => long.run(inputs, { signal: controller.signal }));
    setTimeout(() => controller.abort(), 30);
    const results = await Promise.allSettled(runs);
    expect(results.map(({ status }) => status)).toEqual(Array(5).fill("rejected"));
    await expect(quick.run(short)).resolves.toEqual({ y: short.x });
  });

  it("that fires when the run is over changes nothing", async () => {
    for (let i = 0; i < 200; i++) {
      const controller = new AbortController();
      const { y } = await quick.run(short, { signal: controller.signal });
      controller.abort();
      expect(y).toEqual(short.x);
    }
  });

  it("fired at any moment of a short run leaves a result or an abortion, and a working session", async () => {
    const outcomes = new Set<string>();
    for (let i = 0; i < 400; i++) {
      const controller = new AbortController();
      const running = quick.run(short, { signal: controller.signal });
      if (i % 4 === 0) setImmediate(() => controller.abort());
      if (i % 4 === 1) queueMicrotask(() => controller.abort());
      if (i % 4 === 2) setTimeout(() => controller.abort(), i % 3);
      outcomes.add(
        await running.then(
          ({ y }) => String(y!.data),
          (error) => error.code,
        ),
      );
    }
    expect([...outcomes].sort()).toEqual(["1,2", "aborted"]);
    await expect(quick.run(short)).resolves.toEqual({ y: short.x });
  });

  it("ends loading for the caller at once, and the engine goes on", async () => {
    const controller = new AbortController();
    const loading = engine.load({ name: "long", bytes: matMulChain(8, 10_000) }, { signal: controller.signal });
    const outcome = loading.then(
      () => "loaded",
      ({ code }) => code,
    );
    await sleep(5);
    controller.abort();
    // Before the event loop goes on: the thread that loads can have said nothing by then.
    const later = new Promise((resolve) => process.nextTick(resolve, "later"));
    expect(await Promise.race([outcome, later])).toBe("aborted");
    await expect(quick.run(short)).resolves.toEqual({ y: short.x });
  });
});

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
