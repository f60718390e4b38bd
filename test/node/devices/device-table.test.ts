/** Is a device more than a file and an entry of the table? Here is one of a program's own, which runs the CPU's graphs. */
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Engine } from "../../../src/engine/engine.ts";
import { createOrtEngine } from "../../../src/engine/ort/ort-engine.ts";
import { cpuLowerings, cpuLoweringsFor } from "../../../src/lowering/cpu/lowerings.ts";
import type { Lowerings } from "../../../src/lowering/lowerings.ts";
import type { DeviceEntry } from "../../../src/node/devices/device-entry.ts";
import { chooseDevice, devices, openDevice } from "../../../src/node/devices/device-table.ts";
import { openPipeline } from "../../../src/node/stable-video-diffusion.ts";
import { picture } from "../../support/picture.ts";

const checkpoint = join(import.meta.dirname, "../../checkpoints/two-levels-fp32");
const small = { width: 48, height: 32, numFrames: 3, numInferenceSteps: 2, seed: 4 };

const started: Engine[] = [];

const inFp32 = (lowerings: Lowerings): Lowerings => {
  return { ...lowerings, unet: lowerings.unet.filter(({ dtype }) => dtype === "fp32") };
};

/** The graphs of the CPU, run by a provider of its own choice: here the CPU's, as if it had to load and run on one thread. */
const otherDevice: DeviceEntry = {
  lowerings: inFp32(cpuLowerings),
  async open(options) {
    const engine = await createOrtEngine({
      ...options,
      provider: { name: "CPUExecutionProvider", isThreadBound: true },
    });
    started.push(engine);
    return { engine, lowerings: inFp32(cpuLoweringsFor(engine.channelBlock)) };
  },
};
const table = { ...devices, other: otherDevice };

async function clipOn(device: string) {
  await using pipe = await openPipeline(checkpoint, { device }, table);
  return await pipe.generate(picture, { ...small, outputType: "floats" });
}

it("makes the clip that the CPU makes", async () => {
  const [cpu, other] = [await clipOn("cpu"), await clipOn("other")];
  expect(other.settings).toEqual(cpu.settings);
  expect(other.frames[0]).toEqual(cpu.frames[0]);
});

it("plans, and its engine is the one that its entry starts", async () => {
  await using pipe = await openPipeline(checkpoint, { device: "other" }, table);
  expect((await pipe.plan(1, small)).dtype).toBe("fp32");
  const { name, engine } = await openDevice({ device: "other", threads: 2 }, table);
  expect([name, engine.threads]).toEqual(["other", 2]);
  expect(started.at(-1)).toBe(engine);
  await engine.dispose();
});

it("is refused what its lowerings do not have, before anything is opened", async () => {
  await expect(openPipeline("nowhere", { device: "other", dtype: "int8" }, table)).rejects.toMatchObject({
    code: "unsupported",
    message: expect.stringMatching(/^fromPretrained: dtype is "int8", this version computes in fp32; /),
  });
});

it("auto is the first of the table, and a name that it does not have is refused with those that it has", () => {
  expect(chooseDevice().name).toBe("cpu");
  expect(chooseDevice("auto", { other: otherDevice, ...devices }).name).toBe("other");
  for (const name of ["abacus", "constructor", "toString"]) {
    expect(() => chooseDevice(name, table)).toThrow(
      expect.objectContaining({
        code: "unsupported",
        message: `device is "${name}", but this version runs graphs on auto or cpu or other only`,
      }),
    );
  }
});
