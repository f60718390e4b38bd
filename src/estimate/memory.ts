/** How much memory does each stage of a run take? Judged from the graphs, before any weight is read. */
import { scratchInMemoryBytes } from "../engine/engine.ts";
import type { Graph } from "../onnx/graph.ts";
import { type GraphMemory, loadedInTurn, loadedTogether, memoryOf } from "../onnx/memory.ts";
import type { OutputType, Settings } from "../options/resolve-settings.ts";
import { decoderSegments, isWindowed } from "../pipeline/decode.ts";
import { scalesOf } from "../pipeline/guidance.ts";
import { latentSize, type Networks, unetsOf } from "../pipeline/networks.ts";
import type { Offload } from "../pipeline/sessions.ts";
import type { Stage } from "../pipeline/stages.ts";
import { scratchBytes } from "../streaming/clip-maps.ts";
import { workspaceSize } from "../streaming/segment-workspace.ts";
import { bytesPerElement, elementCount } from "../tensor.ts";

/** Of a stage's networks, and of what is kept beside them. */
type Need = Pick<GraphMemory, "weightsBytes" | "activationBytes">;

/** Decoded frames are kept as float32 and as 8-bit pictures. */
const floatBytes = 4;

/** What JavaScript holds more while a run goes on: graphs, latents, and buffers that are not collected yet. */
const scriptBytes = 40e6;

export interface Run {
  readonly settings: Settings;
  readonly outputType: OutputType;
  /** Pictures given. */
  readonly images: number;
  readonly offload: Offload;
  /** Threads that work weights out. Default: one. */
  readonly threads?: number;
}

/** The most that a stage takes on top of what the process holds before the run, LoRAs among it. */
export interface StageMemory {
  readonly stage: Stage;
  readonly bytes: number;
}

/** The stage in which a run takes the most memory, and how much. */
export function peakMemory(networks: Networks, run: Run): StageMemory {
  return stageMemory(networks, run).reduce((largest, stage) => (stage.bytes > largest.bytes ? stage : largest));
}

/** Stages in their order. */
export function stageMemory(networks: Networks, run: Run): StageMemory[] {
  const stages = graphsOfStages(networks, run);
  const allWeightsBytes = stages.reduce((sum, { weightsBytes }) => sum + weightsBytes, 0);
  return stages.map(({ stage, weightsBytes, activationBytes }) => {
    const heldBytes = run.offload === "none" ? allWeightsBytes : weightsBytes;
    return { stage, bytes: scriptBytes + heldBytes + activationBytes };
  });
}

function graphsOfStages(
  networks: Networks,
  { settings, outputType, images, offload, threads = 1 }: Run,
): (Need & { readonly stage: Stage })[] {
  const { write } = networks;
  const { width, height, numFrames } = settings;
  const clips = images * settings.numVideosPerPrompt;
  const stages = [
    { stage: "image encoder", ...memoryOf(write.imageEncoder().graph) },
    { stage: "vae encoder", ...memoryOf(write.vaeEncoder({ height, width }).graph) },
    { stage: "conditioning", ...needTogether([write.conditioning({ frames: numFrames }).graph], threads) },
    { stage: "unet", ...unetMemory(networks, settings, clips, threads) },
  ] as const;
  if (outputType === "latents") return [...stages];
  const decoder = decoderMemory(networks, settings, offload);
  const resultBytes = clips * numFrames * width * height * 3 * (floatBytes + 1);
  return [...stages, { stage: "vae decoder", ...decoder, activationBytes: decoder.activationBytes + resultBytes }];
}

/** A window's segments are loaded one after the other, and stay where networks stay loaded. */
function decoderMemory(networks: Networks, settings: Settings, offload: Offload): Need {
  const { numFrames: frames, decodeChunkSize } = settings;
  const latents = latentSize(networks, settings);
  if (!isWindowed(settings)) {
    return memoryOf(networks.write.vaeDecoder({ frames: Math.min(decodeChunkSize, frames), ...latents }).graph);
  }
  const segments = decoderSegments(networks, settings);
  const { tensorBytes, runBytes } = workspaceSize(segments);
  const setAside = Math.min(scratchInMemoryBytes, scratchBytes(segments, frames));
  const needs = segments.map(({ graph }) => memoryOf(graph));
  const { weightsBytes } = (offload === "model" ? loadedInTurn : loadedTogether)(needs);
  return {
    weightsBytes,
    activationBytes: setAside + tensorBytes + runBytes,
  };
}

/** Of graphs whose weights may be worked out, by so many threads. */
function needTogether(graphs: readonly Graph[], threads: number): Need {
  const { weightsBytes, runBytes, loadBytes, loadThreadBytes } = loadedTogether(graphs.map(memoryOf));
  return { weightsBytes, activationBytes: Math.max(runBytes, loadBytes + threads * loadThreadBytes) };
}

/** With DeepCache both networks are loaded, and the feature of each half of each clip is kept. */
function unetMemory(networks: Networks, settings: Settings, clips: number, threads: number): Need {
  const graphs = unetsOf(networks, settings).map(({ graph }) => graph);
  const { weightsBytes, activationBytes } = needTogether(graphs, threads);
  const feature = graphs[0]!.outputs.find(({ name }) => name === "deep_feature");
  const features = feature ? clips * (scalesOf(settings) ? 2 : 1) : 0;
  const featureBytes = feature ? elementCount(feature.shape) * bytesPerElement[feature.dtype] : 0;
  return { weightsBytes, activationBytes: activationBytes + features * featureBytes };
}
