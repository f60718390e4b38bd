/** What will a run take? Memory and time of each stage, and what is set aside on a disk, before any weight is read. */
import { type Message, messageText } from "../errors.ts";
import type { Dtype, WeightStorage } from "../lowering/lowerings.ts";
import type { WrittenNetwork } from "../models/network.ts";
import { memoryOf } from "../onnx/memory.ts";
import { kindsOfWork, workOf } from "../onnx/work.ts";
import type { Offload } from "../options/load-options.ts";
import type { Settings } from "../options/resolve-settings.ts";
import type { Networks } from "../pipeline/networks.ts";
import type { Stage } from "../pipeline/progress.ts";
import { describeStages, type Run, type StageDescription } from "../pipeline/stages.ts";
import { elementCount } from "../tensor.ts";
import type { Speeds } from "./calibrate.ts";
import { type StageMemory, stageMemory } from "./memory.ts";

/** What one network will take. */
export interface StagePlan {
  readonly stage: Stage;
  /** The most that the process will hold while the stage is loaded and runs. */
  readonly peakBytes: number;
  /** With the files in the system's cache. */
  readonly loadSeconds: number;
  readonly runSeconds: number;
}

/** What will be held of one pool of memory at most, and what may be. */
export interface PoolPlan {
  readonly peakBytes: number;
  readonly availableBytes: number;
}

/** What a call of `generate` will take, estimated. */
export interface Plan {
  /** In their order; without the decoder where no frames are asked for. */
  readonly stages: readonly StagePlan[];
  /** The largest of the stages' peaks. */
  readonly peakBytes: number;
  /** The most that the process may hold: what it does already and what is free, or less where `maxMemory` says so. */
  readonly availableBytes: number;
  /** Where that is less than the peak: the smallest change that would fit. `generate` would refuse the run. */
  readonly advice?: string;
  /** What lies in the memory of a device that has its own; of such a run the bytes above are the host's. */
  readonly device?: PoolPlan;
  /** The advice with its options as data, as the `said` of an error. */
  readonly adviceSaid?: Message;
  /** All stages, loading included. */
  readonly seconds: number;
  /** The most that decoding sets aside at a time, in memory where it is little, else in the scratch folder. */
  readonly scratchBytes: number;
  /** How many clips the call makes. */
  readonly clips: number;
  /** Runs of the UNet for all clips and halves of guidance; the shallow ones are DeepCache's. */
  readonly unetRuns: { readonly whole: number; readonly shallow: number };
  /** Every setting in force. Given to `generate` they make the run that was planned. */
  readonly settings: Settings;
  readonly dtype: Dtype;
  readonly weightStorage: WeightStorage;
  readonly offload: Offload;
}

export interface PlannedRun extends Run {
  readonly dtype: Dtype;
  readonly weightStorage: WeightStorage;
  /** As `countEvaluations` gives them. */
  readonly evaluations: readonly number[];
}

/** What is there of a pool before the run. */
export interface PoolState {
  readonly heldBytes: number;
  /** With what the run may take of it. */
  readonly availableBytes: number;
}

/** @param pools absent `device`: it has no memory of its own */
export function planRun(
  networks: Networks,
  run: PlannedRun,
  speeds: Speeds,
  { host, device, advice }: { host: PoolState; device?: PoolState | undefined; advice?: Message | undefined },
): Plan {
  const { settings, offload, dtype, weightStorage, evaluations } = run;
  const described: StageDescription[] = Object.values(describeStages(networks, run));
  const memory = stageMemory(networks, run);
  const hostBytes = ({ bytes, deviceBytes }: StageMemory) => (device ? bytes - deviceBytes : bytes);
  const stages = described.map((stage, index): StagePlan => {
    const sharesMemory = stage.workspace !== undefined && offload === "model";
    const seconds = stage.uses.map(({ network, loads, runs }, use) => ({
      load: loads * loadSeconds(network, speeds),
      run: (runs ?? evaluations[use]!) * runSeconds(network, sharesMemory, speeds),
    }));
    return {
      stage: stage.stage,
      peakBytes: host.heldBytes + hostBytes(memory[index]!),
      loadSeconds: seconds.reduce((sum, { load }) => sum + load, 0),
      runSeconds:
        seconds.reduce((sum, { run }) => sum + run, 0) + stage.movedScratchBytes / speeds.scratchBytesPerSecond,
    };
  });
  const [whole = 0, shallow = 0] = evaluations;
  return {
    stages,
    peakBytes: Math.max(...stages.map(({ peakBytes }) => peakBytes)),
    availableBytes: host.availableBytes,
    ...(device && {
      device: {
        peakBytes: device.heldBytes + Math.max(...memory.map(({ deviceBytes }) => deviceBytes)),
        availableBytes: device.availableBytes,
      },
    }),
    ...(advice !== undefined && { advice: messageText(advice), adviceSaid: advice }),
    seconds: stages.reduce((total, stage) => total + stage.loadSeconds + stage.runSeconds, 0),
    scratchBytes: Math.max(...described.map(({ scratchBytes }) => scratchBytes)),
    clips: run.images * settings.numVideosPerPrompt,
    unetRuns: { whole, shallow },
    settings,
    dtype,
    weightStorage,
    offload,
  };
}

/** @param sharesMemory whether all runs use the same memory, in place of taking it from the system each time */
function runSeconds({ graph }: WrittenNetwork, sharesMemory: boolean, speeds: Speeds): number {
  const { multiplications, movedBytes } = workOf(graph);
  const multiplying = kindsOfWork.map((kind) => multiplications[kind] / speeds.multiplicationsPerSecond[kind]);
  const freshBytes = sharesMemory ? 0 : memoryOf(graph).runBytes;
  const moving = movedBytes / speeds.movedBytesPerSecond + freshBytes / speeds.freshBytesPerSecond;
  return multiplying.reduce((sum, each) => sum + each, 0) + moving;
}

/** Reading the graph and choosing its kernels, a node. */
const nodeSeconds = 0.15e-3;

/** A prepared weight takes as long as moving so many bytes: converted in blocks, transposed, packed by the session. */
const preparedWeightBytes = 24;

/** Weights that stay in their files are mapped, which takes no time. */
function loadSeconds({ graph }: WrittenNetwork, { movedBytesPerSecond }: Speeds): number {
  const prepared = graph.prepared.reduce((sum, { source }) => sum + elementCount(source.shape), 0);
  return nodeSeconds * graph.nodes.length + (preparedWeightBytes * prepared) / movedBytesPerSecond;
}
