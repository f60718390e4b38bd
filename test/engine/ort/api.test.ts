import { createRequire } from "node:module";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { availableProviders, openOrtApi } from "../../../src/engine/ort/api.ts";
import { findOrtLibrary } from "../../../src/engine/ort/library.ts";
import { StillmotionError } from "../../../src/errors.ts";

const require = createRequire(import.meta.url);

describe("the C API's function table on the installed library", () => {
  const api = openOrtApi(findOrtLibrary());

  it("is that of the installed onnxruntime-node", () => {
    expect(api.version).toBe(require("onnxruntime-node/package.json").version);
  });

  it("lists the providers", () => {
    expect(availableProviders(api)).toContain("CPUExecutionProvider");
  });

  it("has each function of an object's life in its place", () => {
    const environment = api.CreateEnv(4, "test");
    const sessionOptions = api.CreateSessionOptions();
    api.SetIntraOpNumThreads(sessionOptions, 1);
    api.AddSessionConfigEntry(sessionOptions, "session.intra_op.allow_spinning", "0");
    const runOptions = api.CreateRunOptions();
    const memoryInfo = api.CreateCpuMemoryInfo(0, 0);
    for (const handle of [environment, sessionOptions, runOptions, memoryInfo]) expect(handle).not.toBe(0n);
    api.ReleaseMemoryInfo(memoryInfo);
    api.ReleaseRunOptions(runOptions);
    api.ReleaseSessionOptions(sessionOptions);
    api.ReleaseEnv(environment);
  });

  it("stays loaded when its handle is garbage", () => {
    setFlagsFromString("--expose-gc");
    const collectGarbage = runInNewContext("gc") as () => void;
    collectGarbage();
    api.ReleaseRunOptions(api.CreateRunOptions());
  });

  it("throws a failed status as an error with ONNX Runtime's own message and code", () => {
    const sessionOptions = api.CreateSessionOptions();
    expect(() => api.SessionOptionsAppendExecutionProvider(sessionOptions, "Abacus", [], [], 0)).toThrow(
      expect.objectContaining({
        code: "engine",
        message: expect.stringMatching(/Unknown provider name 'Abacus'.*\(INVALID_ARGUMENT\)/),
      }),
    );
    api.ReleaseSessionOptions(sessionOptions);
  });
});

describe("a library that is not ONNX Runtime", () => {
  it.each([
    ["a path where nothing is", "/nowhere/libonnxruntime.so.1"],
    ["a file that is no library", require.resolve("onnxruntime-node/package.json")],
  ])("%s is an error that names it", (_, path) => {
    const failure = catchError(() => openOrtApi(path));
    expect(failure).toBeInstanceOf(StillmotionError);
    expect(failure).toMatchObject({ code: "engine" });
    expect(failure?.message).toContain(`${path} cannot be loaded as ONNX Runtime's library: `);
  });
});

function catchError(work: () => unknown): Error | undefined {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  return undefined;
}
