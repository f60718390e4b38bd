/** Is memory that sessions share read and written in place, and given back? */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, Workspace } from "../../src/engine/engine.ts";
import { createNodeEngine } from "../../src/engine/node-engine.ts";
import { floatTensor } from "../../src/tensor.ts";
import { identityModel, matMulChain } from "./test-models.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createNodeEngine({ threads: 2 });
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
    await expect(session.run({ x }, { outputs: { z: lost } })).rejects.toThrow("four: nothing is called z");
    await session.release();
    await workspace.release();
    await expect(session.run({ x }, { outputs: { y: lost } })).rejects.toThrow();
  });
});

describe("runs in a workspace", () => {
  const size = 1024; // 4 MB a product
  const chain = { name: "chain", bytes: matMulChain(size, 8) };
  const x = floatTensor([size, size]);

  it("touch memory once for all sessions, which is given back in the end", async () => {
    const beforeBytes = process.memoryUsage.rss();
    const faults = async (workspace: Workspace | undefined) => {
      const before = process.resourceUsage().minorPageFault;
      for (let i = 0; i < 6; i++) {
        const session = await engine.load(chain, { workspace });
        for (let run = 0; run < 4; run++) await session.run({ x });
        await session.release();
      }
      return process.resourceUsage().minorPageFault - before;
    };
    const workspace = await engine.openWorkspace({ tensorBytes: 64, runBytes: 64e6 });
    const [shared, fresh] = [await faults(workspace), await faults(undefined)];
    await workspace.release();
    // Inputs and results that lie in no workspace are copied all the same.
    expect(shared, `${shared} with, ${fresh} without a workspace`).toBeLessThan(0.8 * fresh);
    expect(process.memoryUsage.rss() - beforeBytes).toBeLessThan(40e6);
  });

  it("of several workspaces at once, also of another engine, do not disturb each other", async () => {
    const other = await createNodeEngine({ threads: 1 });
    const size = { tensorBytes: 64, runBytes: 16e6 };
    const [first, second, third] = [
      await engine.openWorkspace(size),
      await engine.openWorkspace(size),
      await other.openWorkspace(size),
    ];
    const sessions = [
      await engine.load(chain, { workspace: first }),
      await engine.load(chain, { workspace: second }),
      await other.load(chain, { workspace: third }),
    ];
    const expected = await sessions[0]!.run({ x });
    await sessions[0]!.release();
    await first.release();
    for (const session of sessions.slice(1)) await expect(session.run({ x })).resolves.toEqual(expected);
    const late = await engine.load(chain, { workspace: second });
    await expect(late.run({ x })).resolves.toEqual(expected);
    for (const session of [...sessions.slice(1), late]) await session.release();
    await second.release();
    await third.release();
    await other.dispose();
  });

  it("end with the engine, before which a workspace need not be released", async () => {
    const other = await createNodeEngine({ threads: 1 });
    const workspace = await other.openWorkspace({ tensorBytes: 64, runBytes: 16e6 });
    const session = await other.load(chain, { workspace });
    await session.run({ x });
    await other.dispose();
    await workspace.release();
    await workspace.release();
    await expect(other.openWorkspace({ tensorBytes: 64, runBytes: 1e6 })).rejects.toThrow("the engine was disposed");
  });
});

it("a workspace for which there is no memory is an error", async () => {
  const opening = engine.openWorkspace({ tensorBytes: 2 ** 47, runBytes: 0 });
  await expect(opening).rejects.toMatchObject({
    code: "out-of-memory",
    message: expect.stringContaining("no memory for a workspace of "),
  });
});
