/** How much memory does each stage of a run take? Judged from the graphs, before any weight is read. */
import type { Networks } from "../pipeline/networks.ts";
import type { Stage } from "../pipeline/progress.ts";
import { describeStages, type Run, type StageDescription } from "../pipeline/stages.ts";
import { scratchInMemoryBytes } from "../streaming/scratch.ts";

/** What JavaScript holds more while a run goes on: graphs, latents, and buffers that are not collected yet. */
const scriptBytes = 40e6;

/** The most that a stage takes on top of what the process holds before the run, LoRAs among it. */
export interface StageMemory {
  readonly stage: Stage;
  /** In all. */
  readonly bytes: number;
  /** What of that is the device's: weights, and what graphs hold while they load and run. */
  readonly deviceBytes: number;
}

/** The stage in which a run takes the most memory, and how much. */
export function peakMemory(networks: Networks, run: Run): StageMemory {
  return largestOf(stageMemory(networks, run), ({ bytes }) => bytes);
}

/** The stage in which the most is taken of what `bytesOf` gives. */
export function largestOf(memory: readonly StageMemory[], bytesOf: (stage: StageMemory) => number): StageMemory {
  return memory.reduce((largest, stage) => (bytesOf(stage) > bytesOf(largest) ? stage : largest));
}

/** Stages in their order. */
export function stageMemory(networks: Networks, run: Run): StageMemory[] {
  const stages: StageDescription[] = Object.values(describeStages(networks, run));
  const allWeightsBytes = stages.reduce((sum, { memory }) => sum + memory.weightsBytes, 0);
  return stages.map(({ stage, memory, workspace, heldBytes, keptBytes, scratchBytes }) => {
    const { weightsBytes, runBytes, loadBytes, loadThreadBytes } = memory;
    const running = workspace ? workspace.tensorBytes + workspace.runBytes : runBytes;
    const loading = loadBytes + (run.threads ?? 1) * loadThreadBytes;
    const weights = run.offload === "none" ? allWeightsBytes : weightsBytes;
    const deviceBytes = weights + keptBytes + Math.max(running, loading);
    return {
      stage,
      bytes: scriptBytes + heldBytes + Math.min(scratchInMemoryBytes, scratchBytes) + deviceBytes,
      deviceBytes,
    };
  });
}
