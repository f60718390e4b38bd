import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createOrtEngine } from "../../../src/engine/ort/ort-engine.ts";
import { cpuProvider } from "../../../src/engine/ort/provider.ts";
import { WorkerCalls } from "../../../src/engine/ort/worker-calls.ts";
import { floatTensor } from "../../../src/tensor.ts";
import { endlessModel, endlessSize, identityModel } from "./test-models.ts";

const short = { x: floatTensor([2], Float32Array.of(1, 2)) };
const identity = { name: "quick", bytes: identityModel("float32", [2]) };
const endlessInputs = { x: floatTensor([endlessSize, endlessSize]) };

it.skipIf(process.platform === "win32")(
  "an engine starts no telemetry, which would leave a file in the temporary folder",
  async () => {
    const engine = new URL("../../../src/engine/ort/ort-engine.ts", import.meta.url);
    const program = `const { createOrtEngine } = await import("${engine}"); await (await createOrtEngine()).dispose();`;
    const folder = mkdtempSync(join(tmpdir(), "telemetry-"));
    const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
      env: { ...process.env, TMPDIR: folder },
    });
    expect(await new Promise((resolve) => child.once("exit", resolve))).toBe(0);
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
  },
);

describe("dispose", () => {
  it("may be called twice, also at once, and refuses what comes later", async () => {
    const engine = await createOrtEngine();
    const session = await engine.load(identity);
    await Promise.all([engine.dispose(), engine.dispose()]);
    await engine.dispose();
    await expect(session.run(short)).rejects.toMatchObject({ code: "engine", message: "the engine was disposed" });
    await expect(engine.load(identity)).rejects.toThrow("the engine was disposed");
    await session.release();
  });

  it("ends a run in the middle and those that wait", async () => {
    const engine = await createOrtEngine();
    const session = await engine.load(endlessModel());
    const runs = [session.run(endlessInputs), session.run(endlessInputs)];
    const results = Promise.allSettled(runs);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await engine.dispose();
    for (const result of await results) {
      expect(result).toMatchObject({
        status: "rejected",
        reason: { code: "engine", message: "the engine was disposed" },
      });
    }
  });

  it("of one engine leaves another one running", async () => {
    const [one, other] = await Promise.all([createOrtEngine(), createOrtEngine()]);
    const session = await other.load(identity);
    await one.dispose();
    await expect(session.run(short)).resolves.toEqual({ y: short.x });
    await other.dispose();
  });
});

describe("a worker that fails", () => {
  const workerThat = (does: string) => {
    const program = `import { parentPort } from "node:worker_threads";
      parentPort.postMessage({ result: undefined });
      parentPort.on("message", () => { ${does} });`;
    return new WorkerCalls(new URL(`data:text/javascript,${encodeURIComponent(program)}`), {
      libraryPath: "",
      provider: cpuProvider,
    });
  };

  it.each([
    ["by an exception", `throw new Error("boom")`, "the engine's worker failed: boom"],
    ["by ending", "process.exit(3)", "the engine's worker ended with exit code 3"],
  ])("%s rejects the calls that wait and all later ones", async (_, does, message) => {
    const worker = workerThat(does);
    await worker.started;
    const calls = [1n, 2n].map((session) => worker.call({ kind: "release", session }));
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: "engine", message });
    await expect(worker.call({ kind: "release", session: 3n })).rejects.toThrow(message);
    await worker.stop("stopped");
  });
});

describe("the process", () => {
  const setup = `
    import { createOrtEngine } from "${new URL("../../../src/engine/ort/ort-engine.ts", import.meta.url)}";
    import { endlessModel, endlessSize, identityModel, matMulChain } from "${new URL("./test-models.ts", import.meta.url)}";
    import { floatTensor } from "${new URL("../../../src/tensor.ts", import.meta.url)}";
    const engine = await createOrtEngine();`;
  const run = `
    const session = await engine.load(endlessModel());
    session.run({ x: floatTensor([endlessSize, endlessSize]) });`;

  it("ends by itself when an engine is idle and was not disposed of", { timeout: 30_000 }, async () => {
    const program = `${setup}
      const session = await engine.load({ name: "quick", bytes: identityModel("float32", [2]) });
      await session.run({ x: floatTensor([2]) });`;
    expect(await exitOf(program)).toMatchObject({ code: 0, stderr: "" });
  });

  it("stays for a run that nothing else waits for", { timeout: 30_000 }, async () => {
    const program = `${setup}
      const session = await engine.load({ name: "some", bytes: matMulChain(256, 200) });
      session.run({ x: floatTensor([256, 256]) }).then(() => process.exit(7));`;
    expect(await exitOf(program)).toMatchObject({ code: 7, stderr: "" });
  });

  it("ends in the middle of a run when process.exit is called", { timeout: 30_000 }, async () => {
    const program = `${setup} ${run}
      setTimeout(() => process.exit(130), 300);`;
    expect(await exitOf(program)).toMatchObject({ code: 130, stderr: "" });
  });
});

function exitOf(program: string): Promise<{ code: number | null; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program]);
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += text;
    });
    child.on("close", (code) => resolve({ code, stderr }));
  });
}
