/**
 * What are the stages of a run? The networks of each, how often they run, what they hold and what they set aside. Running, planning,
 * the memory check and progress read this.
 */
import type { WorkspaceSize } from "../engine/engine.ts";
import type { WrittenNetwork, WrittenSegment } from "../models/network.ts";
import { type GraphMemory, loadedInTurn, loadedTogether, memoryOf } from "../onnx/memory.ts";
import type { Offload } from "../options/load-options.ts";
import type { OutputType, Settings } from "../options/resolve-settings.ts";
import { scratchBytes } from "../streaming/clip-maps.ts";
import { movedMapBytes, windowOf } from "../streaming/segment-windows.ts";
import { workspaceSize } from "../streaming/segment-workspace.ts";
import { bytesPerElement, elementCount } from "../tensor.ts";
import { scalesOf } from "./guidance.ts";
import { latentSize, type Networks, unetsOf } from "./networks.ts";
import type { Stage } from "./progress.ts";
import { samplingOf } from "./sampling.ts";

/** The networks in the order in which a clip passes through them. */
export interface Run {
  readonly settings: Settings;
  readonly outputType: OutputType;
  /** Pictures given. */
  readonly images: number;
  readonly offload: Offload;
  /** Threads that work weights out. Default: one. */
  readonly threads?: number;
}

/** A network of a stage, and how often one call loads and runs it. */
interface NetworkUse {
  readonly network: WrittenNetwork;
  readonly loads: number;
  /** Absent for the UNet, whose runs depend on the sampler: see `countEvaluations`. */
  readonly runs?: number;
}

export interface StageDescription {
  readonly stage: Stage;
  readonly uses: readonly NetworkUse[];
  /** Of its networks, as many as are loaded at a time. */
  readonly memory: GraphMemory;
  /** What its runs use in turn, where they share memory. */
  readonly workspace?: WorkspaceSize;
  /** What JavaScript holds beside the networks for the stage, and what stays on the device between their runs. */
  readonly heldBytes: number;
  readonly keptBytes: number;
  /** The most that lies in scratches at a time, and what is brought there and back in all. */
  readonly scratchBytes: number;
  readonly movedScratchBytes: number;
  /** What progress counts: pictures, steps or frames. */
  readonly parts: number;
}

/** Frames that are decoded together, on their own, and where in each clip such chunks start. */
interface Chunk {
  readonly network: WrittenNetwork;
  readonly frames: number;
  readonly starts: readonly number[];
}

/** The decoder runs on a window of frames at a time, as if on all of them, or on chunks that know nothing of each other. */
export type DecoderStage = StageDescription &
  ({ readonly segments: readonly WrittenSegment[] } | { readonly chunks: readonly Chunk[] });

/** In their order. */
export interface Stages {
  readonly imageEncoder: StageDescription;
  readonly vaeEncoder: StageDescription;
  readonly conditioning: StageDescription;
  readonly unet: StageDescription;
  /** Absent where latents are asked for. */
  readonly vaeDecoder?: DecoderStage;
}

export function describeStages(networks: Networks, run: Run): Stages {
  const { settings, images, offload } = run;
  const { write } = networks;
  const { width, height, numFrames: frames } = settings;
  const halves = scalesOf(settings) ? 2 : 1;
  const clips = images * settings.numVideosPerPrompt;
  const embeddings = images + halves - 1;
  const { timesteps } = samplingOf(settings, networks.schedulerConfig).schedule;
  const stages = {
    imageEncoder: onePass("image encoder", write.imageEncoder(), images),
    vaeEncoder: onePass("vae encoder", write.vaeEncoder({ height, width }), images),
    conditioning: onePass("conditioning", write.conditioning({ frames }), embeddings),
    unet: describeUnet(networks, settings, { halves: halves * clips, steps: timesteps.length }),
  };
  return run.outputType === "latents"
    ? stages
    : { ...stages, vaeDecoder: describeDecoder(networks, settings, { clips, offload }) };
}

const nothingElse = { heldBytes: 0, keptBytes: 0, scratchBytes: 0, movedScratchBytes: 0 };

/** One network that runs once for each part. */
function onePass(stage: Stage, network: WrittenNetwork, parts: number): StageDescription {
  const uses = [{ network, loads: 1, runs: parts }];
  return { stage, uses, memory: memoryOf(network.graph), parts, ...nothingElse };
}

/** With DeepCache both networks are loaded, and the feature of each of the `halves` of all clips is kept. */
export function describeUnet(
  networks: Networks,
  settings: Parameters<typeof unetsOf>[1],
  { halves, steps }: { halves: number; steps: number },
): StageDescription {
  const unets = unetsOf(networks, settings);
  const memory = loadedTogether(unets.map(({ graph }) => memoryOf(graph)));
  const feature = unets[0]!.graph.outputs.find(({ name }) => name === "deep_feature");
  const featureBytes = feature ? elementCount(feature.shape) * bytesPerElement[feature.dtype] : 0;
  return {
    ...nothingElse,
    stage: "unet",
    uses: unets.map((network) => ({ network, loads: 1 })),
    memory,
    workspace: { tensorBytes: 0, runBytes: memory.runBytes },
    keptBytes: halves * featureBytes,
    parts: steps,
  };
}

/** Decoded frames are kept as float32 and as 8-bit pictures. */
const frameElementBytes = bytesPerElement.float32 + 1;

export function describeDecoder(
  networks: Networks,
  settings: Pick<Settings, "width" | "height" | "numFrames" | "decodeChunkSize" | "decodeMode">,
  { clips, offload }: { clips: number; offload: Offload },
): DecoderStage {
  const { width, height, numFrames, decodeChunkSize } = settings;
  const parts = clips * numFrames;
  const stage = "vae decoder";
  const heldBytes = parts * width * height * 3 * frameElementBytes;
  const loaded = offload === "model" ? loadedInTurn : loadedTogether;
  const size = latentSize(networks, settings);
  if (isWindowed(settings)) {
    const segments = networks.write.vaeDecoderSegments({ frames: numFrames, window: decodeChunkSize, ...size });
    return {
      stage,
      segments,
      uses: segments.map((network) => ({
        network,
        loads: offload === "model" ? clips : 1,
        runs: clips * Math.ceil(numFrames / windowOf(network)),
      })),
      memory: loaded(segments.map(({ graph }) => memoryOf(graph))),
      workspace: workspaceSize(segments),
      keptBytes: 0,
      heldBytes,
      scratchBytes: scratchBytes(segments, numFrames),
      movedScratchBytes: clips * movedMapBytes(segments, numFrames),
      parts,
    };
  }
  const chunks = Array.from(chunksOf(numFrames, decodeChunkSize), ([frames, starts]): Chunk => {
    return { network: networks.write.vaeDecoder({ frames, ...size }), frames, starts };
  });
  const memory = loaded(chunks.map(({ network }) => memoryOf(network.graph)));
  return {
    ...nothingElse,
    stage,
    chunks,
    uses: chunks.map(({ network, starts }) => ({ network, loads: 1, runs: clips * starts.length })),
    memory,
    workspace: { tensorBytes: 0, runBytes: memory.runBytes },
    heldBytes,
    parts,
  };
}

/** Whether the frames of a clip are decoded as one while only some of them are in memory. */
function isWindowed({
  decodeChunkSize,
  decodeMode,
  numFrames,
}: Pick<Settings, "decodeChunkSize" | "decodeMode" | "numFrames">): boolean {
  return decodeMode === "exact" && decodeChunkSize < numFrames;
}

/** Chunk lengths with the frames at which such chunks start: full ones, then a shorter last one. */
function chunksOf(frames: number, chunkSize: number): Map<number, number[]> {
  const starts = Array.from({ length: Math.ceil(frames / chunkSize) }, (_, index) => index * chunkSize);
  return Map.groupBy(starts, (start) => Math.min(chunkSize, frames - start));
}
