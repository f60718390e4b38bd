import { expect, it } from "vitest";
import { findOrtLibrary } from "../../../src/engine/ort/library.ts";
import { describeEngine, probeProviders } from "../../../src/engine/ort/probe.ts";
import { identityModel, matMulChain } from "./test-models.ts";

it("the installed library is described", () => {
  expect(describeEngine()).toEqual({
    libraryPath: findOrtLibrary(),
    version: expect.stringMatching(/^1\.\d+\.\d+$/),
    providers: expect.arrayContaining(["CPUExecutionProvider"]),
  });
});

it("every provider of the library is probed: the CPU starts, what does not says why", { timeout: 60_000 }, async () => {
  const probes = await probeProviders(matMulChain(4, 2));
  expect(probes.map(({ provider }) => provider)).toEqual(describeEngine().providers);
  for (const { provider, failure } of probes) {
    if (provider === "CPUExecutionProvider") expect(failure).toBeUndefined();
    else expect(failure).not.toBe("");
  }
});

it("a provider that does not answer in time has failed", async () => {
  const probes = await probeProviders(identityModel("float32", [1]), { timeoutMs: 1 });
  expect(probes.at(-1)).toEqual({ provider: "CPUExecutionProvider", failure: "no answer within 0.001 s" });
});
