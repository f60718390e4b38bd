/** Does a run fit in memory, and if not, what would? Judged from the graphs, before any weight is read. */
import type { Engine } from "../engine/engine.ts";
import { StillmotionError } from "../errors.ts";
import { type GraphMemory, memoryOf, overheadBytes } from "../onnx/memory.ts";
import { bytesPerElement, elementCount } from "../tensor.ts";
import { isWindowed } from "./decode.ts";
import { guidanceScales, isGuided } from "./guidance.ts";
import { latentSize, type Networks, unetsOf } from "./networks.ts";
import type { OutputType, Settings } from "./resolve-settings.ts";
import { evenWindow } from "./segment-windows.ts";
import type { Offload, Sessions } from "./sessions.ts";
import type { Stage } from "./stages.ts";

/** Decoded frames are kept as float32 and as 8-bit pictures. */
const floatBytes = 4;

/** With more pieces of feed-forward layers the peak of the published UNet lies elsewhere. */
const enoughPieces = 4;

export interface Run {
  readonly settings: Settings;
  readonly outputType: OutputType;
  /** Pictures given. */
  readonly images: number;
  readonly offload: Offload;
}

interface StageMemory extends GraphMemory {
  readonly stage: Stage;
}

/**
 * Throws `out-of-memory` when the largest stage of a run needs more than the engine's machine has available, and names
 * a change that would fit.
 */
export function assertFitsInMemory(
  engine: Engine,
  sessions: Sessions,
  networks: Networks,
  given: Omit<Run, "offload">,
): void {
  const run: Run = { ...given, offload: sessions.offload };
  // What is kept of earlier calls is used again, or makes way.
  const availableBytes = engine.availableMemoryBytes() + sessions.keptBytes();
  const needed = peakMemory(networks, run);
  if (needed.bytes <= availableBytes) return;
  const fits = (changed: Run) => peakMemory(networks, changed).bytes <= availableBytes;
  const { numFrames, width, height } = run.settings;
  throw new StillmotionError(
    "out-of-memory",
    `generate: the ${needed.stage} needs about ${gigabytes(needed.bytes)} for ${numFrames} frames of ` +
      `${width}x${height}, ${gigabytes(availableBytes)} are free; ${suggestion(run, fits)}`,
  );
}

/** The stage in which a run takes the most memory, and how much. */
export function peakMemory(networks: Networks, run: Run): { stage: Stage; bytes: number } {
  const stages = stagesOf(networks, run);
  const allWeightsBytes = stages.reduce((sum, { weightsBytes }) => sum + weightsBytes, 0);
  const peaks = stages.map(({ stage, weightsBytes, activationBytes }) => {
    const heldBytes = run.offload === "none" ? allWeightsBytes : weightsBytes;
    return { stage, bytes: overheadBytes + heldBytes + activationBytes };
  });
  return peaks.reduce((largest, stage) => (stage.bytes > largest.bytes ? stage : largest));
}

function stagesOf(networks: Networks, { settings, outputType, images, offload }: Run): StageMemory[] {
  const { write } = networks;
  const { width, height, numFrames } = settings;
  const clips = images * settings.numVideosPerPrompt;
  const stages: StageMemory[] = [
    { stage: "image encoder", ...memoryOf(write.imageEncoder().graph) },
    { stage: "vae encoder", ...memoryOf(write.vaeEncoder({ height, width }).graph) },
    { stage: "unet", ...unetMemory(networks, settings, clips) },
  ];
  if (outputType === "latents") return stages;
  const decoder = decoderMemory(networks, settings, offload);
  const resultBytes = clips * numFrames * width * height * 3 * (floatBytes + 1);
  return [...stages, { stage: "vae decoder", ...decoder, activationBytes: decoder.activationBytes + resultBytes }];
}

/** A window's segments are loaded one after the other, and stay where networks stay loaded. */
function decoderMemory(networks: Networks, settings: Settings, offload: Offload): GraphMemory {
  const { vaeDecoder, vaeDecoderSegments } = networks.write;
  const latents = latentSize(networks, settings);
  const frames = Math.min(settings.decodeChunkSize, settings.numFrames);
  if (!isWindowed(settings)) return memoryOf(vaeDecoder({ frames, ...latents }).graph);
  // The largest segment, which decides, gets just the window; so it does in a clip of no more frames.
  const window = evenWindow(frames, settings.numFrames);
  const needs = vaeDecoderSegments({ frames: window, window, ...latents }).map(({ graph }) => memoryOf(graph));
  const total = ({ weightsBytes, activationBytes }: GraphMemory) => weightsBytes + activationBytes;
  if (offload === "model") return needs.reduce((largest, need) => (total(need) > total(largest) ? need : largest));
  return loadedTogether(needs);
}

/** Of networks that are loaded at the same time and run one after the other. */
function loadedTogether(needs: readonly GraphMemory[]): GraphMemory {
  return {
    weightsBytes: needs.reduce((sum, { weightsBytes }) => sum + weightsBytes, 0),
    activationBytes: Math.max(...needs.map(({ activationBytes }) => activationBytes)),
  };
}

/** With DeepCache both networks are loaded, and the feature of each half of each clip is kept. */
function unetMemory(networks: Networks, settings: Settings, clips: number): GraphMemory {
  const graphs = unetsOf(networks, settings).map(({ graph }) => graph);
  const { weightsBytes, activationBytes } = loadedTogether(graphs.map(memoryOf));
  const feature = graphs[0]!.outputs.find(({ name }) => name === "deep_feature");
  const scales = guidanceScales(settings.minGuidanceScale, settings.maxGuidanceScale, settings.numFrames);
  const features = feature ? clips * (isGuided(scales) ? 2 : 1) : 0;
  const featureBytes = feature ? elementCount(feature.shape) * bytesPerElement[feature.dtype] : 0;
  return { weightsBytes, activationBytes: activationBytes + features * featureBytes };
}

/** The smallest change that fits: how a clip is computed comes first, then a smaller picture, then fewer frames as well. */
function suggestion(run: Run, fits: (run: Run) => boolean): string {
  const { settings } = run;
  const changed = (change: Partial<Settings>): Run => ({ ...run, settings: { ...settings, ...change } });
  for (let chunk = Math.floor(settings.decodeChunkSize / 2); chunk >= 1; chunk = Math.floor(chunk / 2)) {
    if (fits(changed({ decodeChunkSize: chunk }))) return `decodeChunkSize ${chunk} would fit`;
  }
  if (run.offload === "none" && fits({ ...run, offload: "model" })) return 'offload "model" would fit';
  if (settings.cacheInterval > 1 && fits(changed({ cacheInterval: 1 }))) return "cacheInterval 1 would fit";
  const frugal = { chunkFeedForward: Math.max(enoughPieces, settings.chunkFeedForward), decodeChunkSize: 1 };
  const { chunkFeedForward } = frugal;
  if (fits(changed({ chunkFeedForward }))) return `chunkFeedForward ${chunkFeedForward} would fit`;
  if (fits(changed(frugal))) return `chunkFeedForward ${chunkFeedForward} with decodeChunkSize 1 would fit`;
  for (const share of [0.75, 0.5, 0.25, 0.125]) {
    const smaller = { width: scaled(settings.width, share), height: scaled(settings.height, share) };
    const size = `${smaller.width}x${smaller.height}`;
    if (fits(changed(smaller))) return `${size} would fit`;
    if (fits(changed({ ...smaller, decodeChunkSize: 1 }))) return `${size} with decodeChunkSize 1 would fit`;
    const numFrames = Math.ceil(settings.numFrames * share);
    if (fits(changed({ ...smaller, numFrames, decodeChunkSize: 1 }))) {
      return `${numFrames} frames of ${size} with decodeChunkSize 1 would fit`;
    }
  }
  return "no smaller clip would fit either; free some memory or use a smaller checkpoint";
}

/** A share of a size in pixels, as a multiple of 16. */
function scaled(size: number, share: number): number {
  return Math.max(16, Math.floor((size * share) / 16) * 16);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
