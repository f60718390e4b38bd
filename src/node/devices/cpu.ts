/** What does the CPU give to the pipeline? ONNX Runtime's CPU provider, and the graphs that are written for it. */
import { cpuProvider, createOrtEngine } from "../../engine/ort/ort-engine.ts";
import { cpuLowerings } from "../../lowering/cpu/lowerings.ts";
import type { DeviceEntry } from "./device-entry.ts";

export const cpuDevice: DeviceEntry = {
  lowerings: cpuLowerings,
  startEngine: (options) => createOrtEngine({ ...options, provider: cpuProvider }),
};
