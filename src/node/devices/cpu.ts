/** What does the CPU give to the pipeline? ONNX Runtime's CPU provider, and the graphs that are written for it. */
import { cpuLowerings, cpuLoweringsFor } from "../../lowering/cpu/lowerings.ts";
import type { DeviceEntry } from "./device-entry.ts";

export const cpuDevice: DeviceEntry = {
  lowerings: cpuLowerings,
  async open(options) {
    // Native libraries are looked for when an engine starts, and not when stillmotion is imported.
    const { createOrtEngine } = await import("../../engine/ort/ort-engine.ts");
    const engine = await createOrtEngine(options);
    return { engine, lowerings: cpuLoweringsFor(engine.channelBlock) };
  },
};
