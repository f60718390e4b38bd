/** What does the CPU give to the pipeline? ONNX Runtime's CPU provider and the graphs that are written for it. */
import { cpuLowerings } from "../../lowering/cpu/lowerings.ts";
import { createOrtEngine, type OrtEngineOptions } from "./ort-engine.ts";

export const cpuDevice = {
  lowerings: cpuLowerings,
  startEngine: (options: OrtEngineOptions) => createOrtEngine(options),
};
