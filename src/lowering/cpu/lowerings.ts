/** Which ways of writing the networks are there for ONNX Runtime's CPU provider, and for others that run the same graphs? */
import type { CreateLowering } from "../lowering.ts";
import type { Lowerings } from "../lowerings.ts";
import { createCpuBlockedLowering } from "./blocked.ts";
import { createCpuFp32Lowering } from "./fp32.ts";
import { createCpuInt8Lowering } from "./int8.ts";
import { blocks } from "./storage.ts";

/** @param channelBlock channels that the processor's convolutions work on at once; 1 where they have no blocks */
export function cpuLoweringsFor(channelBlock: number): Lowerings {
  const block = blocks.find((each) => each === channelBlock);
  const inBlocks: CreateLowering | undefined = block && ((graph) => createCpuBlockedLowering(graph, block));
  const stored: CreateLowering = (graph) => createCpuFp32Lowering(graph, "stored");
  return {
    unet: [
      { dtype: "fp32", weightStorage: "stored", create: stored, createSmall: inBlocks },
      {
        dtype: "fp32",
        weightStorage: "fp32",
        create: (graph) => createCpuFp32Lowering(graph, "fp32"),
        // Its session brings stored weights to fp32 once.
        createSmall: inBlocks ?? stored,
      },
      { dtype: "fp32", weightStorage: "int8", create: (graph) => createCpuFp32Lowering(graph, "int8") },
      { dtype: "int8", weightStorage: "int8", create: createCpuInt8Lowering },
    ],
    byMemory: [
      { dtype: "fp32", weightStorage: "fp32" },
      { dtype: "fp32", weightStorage: "stored" },
      { dtype: "int8", weightStorage: "int8" },
    ],
    others: stored,
    smallVae: inBlocks,
  };
}

/** For any processor. */
export const cpuLowerings = cpuLoweringsFor(1);
