/** Which ways of writing the networks are there for ONNX Runtime's CPU provider, and for others that run the same graphs? */
import type { Lowerings } from "../lowerings.ts";
import { createCpuFp32Lowering } from "./fp32.ts";
import { createCpuInt8Lowering } from "./int8.ts";

export const cpuLowerings: Lowerings = {
  unet: [
    { dtype: "fp32", weightStorage: "stored", create: (graph) => createCpuFp32Lowering(graph, "stored") },
    {
      dtype: "fp32",
      weightStorage: "fp32",
      create: (graph) => createCpuFp32Lowering(graph, "fp32"),
      // Its session brings stored weights to fp32 once.
      createSmall: (graph) => createCpuFp32Lowering(graph, "stored"),
    },
    { dtype: "fp32", weightStorage: "int8", create: (graph) => createCpuFp32Lowering(graph, "int8") },
    { dtype: "int8", weightStorage: "int8", create: createCpuInt8Lowering },
  ],
  byMemory: [
    { dtype: "fp32", weightStorage: "fp32" },
    { dtype: "fp32", weightStorage: "stored" },
    { dtype: "int8", weightStorage: "int8" },
  ],
  others: (graph) => createCpuFp32Lowering(graph),
};
