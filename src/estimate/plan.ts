/** What will a run take? Memory and time of each stage, and what is set aside on a disk, before any weight is read. */
import { type Message, messageText } from "../errors.ts";
import type { Dtype } from "../lowering/cpu/dtypes.ts";
import type { WeightStorage } from "../lowering/cpu/parameter.ts";
import type { WrittenNetwork } from "../models/network.ts";
import { memoryOf } from "../onnx/memory.ts";
import { kindsOfWork, workOf } from "../onnx/work.ts";
import type { Settings } from "../options/resolve-settings.ts";
import { chunks, decoderSegments, isWindowed, setAsideBytes } from "../pipeline/decode.ts";
import { scalesOf } from "../pipeline/guidance.ts";
import { latentSize, type Networks, unetsOf } from "../pipeline/networks.ts";
import type { Offload } from "../pipeline/sessions.ts";
import type { Stage } from "../pipeline/stages.ts";
import { movedMapBytes, windowOf } from "../streaming/run-segments.ts";
import { elementCount } from "../tensor.ts";
import type { Speeds } from "./calibrate.ts";
import { type Run, stageMemory } from "./memory.ts";

/** What one network will take. */
export interface StagePlan {
  readonly stage: Stage;
  /** The most that the process will hold while the stage is loaded and runs. */
  readonly peakBytes: number;
  /** With the files in the system's cache. */
  readonly loadSeconds: number;
  readonly runSeconds: number;
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
  /** The advice with its options as data, as the `said` of an error. */
  readonly adviceSaid?: Message;
  /** All stages, loading included. */
  readonly seconds: number;
  /** The most that decoding sets aside at a time, in memory where it is little, else in the scratch folder. */
  readonly scratchBytes: number;
  readonly clips: number;
  /** Runs of the UNet for all clips and halves of guidance; the shallow ones are DeepCache's. */
  readonly unetRuns: { readonly whole: number; readonly shallow: number };
  /** Every setting in force. Given to `generate` they make the run that was planned. */
  readonly settings: Settings;
  readonly dtype: Dtype;
  readonly weightStorage: WeightStorage;
  readonly offload: Offload;
}

/** What a network is run for: how often it is loaded and run. */
interface Task {
  readonly network: WrittenNetwork;
  readonly loads: number;
  readonly runs: number;
  /** Whether all runs use the same memory, in place of taking it from the system each time. */
  readonly inWorkspace?: boolean;
}

export interface PlannedRun extends Run {
  readonly dtype: Dtype;
  readonly weightStorage: WeightStorage;
  /** As `countEvaluations` gives them. */
  readonly evaluations: readonly number[];
}

/** @param heldBytes what the process holds before the run */
export function planRun(
  networks: Networks,
  run: PlannedRun,
  speeds: Speeds,
  { heldBytes, availableBytes, advice }: { heldBytes: number; availableBytes: number; advice?: Message | undefined },
): Plan {
  const { settings, images, offload, dtype, weightStorage, evaluations, outputType } = run;
  const stages = stageMemory(networks, run).map(({ stage, bytes }): StagePlan => {
    const tasks = tasksOf(networks, run, stage);
    const sum = (seconds: (task: Task) => number) => tasks.reduce((total, task) => total + seconds(task), 0);
    return {
      stage,
      peakBytes: heldBytes + bytes,
      loadSeconds: sum(({ network, loads }) => loads * loadSeconds(network, speeds)),
      runSeconds:
        sum((task) => task.runs * runSeconds(task, speeds)) +
        (stage === "vae decoder" ? mapSeconds(networks, run, speeds) : 0),
    };
  });
  const [whole = 0, shallow = 0] = evaluations;
  return {
    stages,
    peakBytes: Math.max(...stages.map(({ peakBytes }) => peakBytes)),
    availableBytes,
    ...(advice !== undefined && { advice: messageText(advice), adviceSaid: advice }),
    seconds: stages.reduce((total, stage) => total + stage.loadSeconds + stage.runSeconds, 0),
    scratchBytes: outputType === "latents" ? 0 : setAsideBytes(networks, settings),
    clips: images * settings.numVideosPerPrompt,
    unetRuns: { whole, shallow },
    settings,
    dtype,
    weightStorage,
    offload,
  };
}

function tasksOf(networks: Networks, { settings, images, offload, evaluations }: PlannedRun, stage: Stage): Task[] {
  const { write } = networks;
  const { width, height } = settings;
  switch (stage) {
    case "image encoder":
      return [{ network: write.imageEncoder(), loads: 1, runs: images }];
    case "vae encoder":
      return [{ network: write.vaeEncoder({ height, width }), loads: 1, runs: images }];
    case "conditioning": {
      const embeddings = images + (scalesOf(settings) ? 1 : 0);
      return [{ network: write.conditioning({ frames: settings.numFrames }), loads: 1, runs: embeddings }];
    }
    case "unet":
      return unetsOf(networks, settings).map((network, index) => ({
        network,
        loads: 1,
        runs: evaluations[index]!,
        inWorkspace: offload === "model",
      }));
    case "vae decoder":
      return decoderTasks(networks, settings, images * settings.numVideosPerPrompt, offload);
  }
}

function decoderTasks(networks: Networks, settings: Settings, clips: number, offload: Offload): Task[] {
  const { numFrames, decodeChunkSize } = settings;
  if (isWindowed(settings)) {
    const loads = offload === "model" ? clips : 1;
    return decoderSegments(networks, settings).map((network) => ({
      network,
      loads,
      runs: clips * Math.ceil(numFrames / windowOf(network)),
      inWorkspace: offload === "model",
    }));
  }
  return [...chunks(numFrames, decodeChunkSize)].map(([frames, starts]) => ({
    network: networks.write.vaeDecoder({ frames, ...latentSize(networks, settings) }),
    loads: 1,
    runs: clips * starts.length,
  }));
}

/** What decoding in windows takes to set its maps aside. */
function mapSeconds(networks: Networks, { settings, images }: PlannedRun, speeds: Speeds): number {
  if (!isWindowed(settings)) return 0;
  const movedBytes = movedMapBytes(decoderSegments(networks, settings), settings.numFrames);
  return (images * settings.numVideosPerPrompt * movedBytes) / speeds.scratchBytesPerSecond;
}

function runSeconds({ network: { graph }, inWorkspace = false }: Task, speeds: Speeds): number {
  const { multiplications, movedBytes } = workOf(graph);
  const multiplying = kindsOfWork.map((kind) => multiplications[kind] / speeds.multiplicationsPerSecond[kind]);
  const freshBytes = inWorkspace ? 0 : memoryOf(graph).runBytes;
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
