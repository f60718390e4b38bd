/** Is memory that sessions share read and written in place, and given back? */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, Workspace } from "../../../src/engine/engine.ts";
import { createOrtEngine } from "../../../src/engine/ort/ort-engine.ts";
import { floatTensor } from "../../../src/tensor.ts";
import { chainModel, runInTurn, spacious } from "./runs-in-workspace.ts";
import { endlessModel, endlessSize, identityModel } from "./test-models.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createOrtEngine({ threads: 2 });
});
afterAll(() => engine.dispose());

const four = { name: "four", bytes: identityModel("float32", [4]) };

/** Four values at a place of the workspace. */
const at = ({ tensors }: Workspace, offset: number) => floatTensor([4], new Float32Array(tensors, offset, 4));

describe("tensors in a workspace", () => {
  it("are read and written where they are", async () => {
    const workspace = await engine.openWorkspace({ tensorBytes: 256, runBytes: 0 });
    const session = await engine.load(four, { workspace });
    const [x, y] = [at(workspace, 64), at(workspace, 192)];
    for (const first of [1, 5]) {
      x.data.set([first, first + 1, first + 2, first + 3]);
      const results = await session.run({ x }, { outputs: { y } });
      expect(results.y).toBe(y);
      expect([...new Float32Array(workspace.tensors, 192, 4)]).toEqual([first, first + 1, first + 2, first + 3]);
    }
    await session.release();
    await workspace.release();
  });

  it("may be given along with others", async () => {
    const workspace = await engine.openWorkspace({ tensorBytes: 64, runBytes: 0 });
    const session = await engine.load(four, { workspace });
    const own = floatTensor([4], Float32Array.of(1, 2, 3, 4));
    await session.run({ x: own }, { outputs: { y: at(workspace, 0) } });
    const { y } = await session.run({ x: at(workspace, 0) });
    expect(y).toEqual(own);
    await session.release();
    await workspace.release();
  });

  it("are refused as outputs where they lie elsewhere, or are too few", async () => {
    const workspace = await engine.openWorkspace({ tensorBytes: 64, runBytes: 0 });
    const session = await engine.load(four, { workspace });
    const x = floatTensor([4]);
    await expect(session.run({ x }, { outputs: { y: floatTensor([4]) } })).rejects.toThrow(
      "four: output y lies in no workspace",
    );
    const three = { ...at(workspace, 0), data: new Float32Array(workspace.tensors, 0, 3) };
    await expect(session.run({ x }, { outputs: { y: three } })).rejects.toThrow("four: y holds 3 values");
    const lost = at(workspace, 0);
    await expect(session.run({ x }, { outputs: { z: lost } })).rejects.toThrow(
      "four: nothing is called z, there are x, y",
    );
    await session.release();
    await workspace.release();
  });

  it("are empty after its release", async () => {
    const workspace = await engine.openWorkspace({ tensorBytes: 64, runBytes: 0 });
    const session = await engine.load(four, { workspace });
    const lost = at(workspace, 0);
    await workspace.release();
    expect([lost.data.length, workspace.tensors.byteLength]).toEqual([0, 0]);
    await expect(session.run({ x: lost })).rejects.toThrow("four: x holds 0 values");
    await session.release();
  });
});

describe("runs in a workspace", () => {
  it("share it in one workspace of the process at a time, the next one after its release", async () => {
    const other = await createOrtEngine({ threads: 1 });
    const [first, second, third] = [
      await engine.openWorkspace(spacious),
      await engine.openWorkspace(spacious),
      await other.openWorkspace(spacious),
    ];
    expect([first, second, third].map(({ servesRuns }) => servesRuns)).toEqual([true, false, false]);
    await runInTurn(engine, second, true);
    await runInTurn(other, third, true);
    await Promise.all([first.release(), second.release(), first.release()]);
    const later = await other.openWorkspace(spacious);
    expect(later.servesRuns).toBe(true);
    await runInTurn(other, later, true);
    await later.release();
    await third.release();
    await other.dispose();
  });

  it("end with the engine; its workspaces are released after it", async () => {
    const other = await createOrtEngine({ threads: 1 });
    const workspace = await other.openWorkspace(spacious);
    await other.load(chainModel, { workspace });
    await other.dispose();
    await workspace.release();
    await expect(other.openWorkspace(spacious)).rejects.toThrow("the engine was disposed");
    const next = await engine.openWorkspace(spacious);
    expect(next.servesRuns).toBe(true);
    await next.release();
  });

  it("are not waited for when the signal fires before they can have it", async () => {
    const session = await engine.load(endlessModel());
    const ending = new AbortController();
    const running = session.run({ x: floatTensor([endlessSize, endlessSize]) }, { signal: ending.signal });
    const ended = expect(running).rejects.toMatchObject({ code: "aborted" });
    const signal = AbortSignal.timeout(20);
    await expect(engine.openWorkspace(spacious, { signal })).rejects.toMatchObject({ code: "aborted" });
    ending.abort();
    await ended;
    await session.release();
    const next = await engine.openWorkspace(spacious);
    expect(next.servesRuns).toBe(true);
    await next.release();
  });
});

it("a workspace for which there is no memory is an error", async () => {
  const opening = engine.openWorkspace({ tensorBytes: 2 ** 47, runBytes: 0 });
  await expect(opening).rejects.toMatchObject({
    code: "out-of-memory",
    message: expect.stringContaining("no memory for a workspace of "),
  });
});
