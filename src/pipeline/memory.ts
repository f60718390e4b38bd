/** Does a run fit in memory, and if not, what would? Judged from the graphs, before any weight is read. */
import type { Engine } from "../engine/engine.ts";
import { StillmotionError } from "../errors.ts";
import { estimateMemory } from "../onnx/memory.ts";
import { isWindowed } from "./decode.ts";
import { latentSize, type Networks } from "./networks.ts";
import type { OutputType, Settings } from "./resolve-settings.ts";
import { evenWindow } from "./segment-windows.ts";
import type { Stage } from "./stages.ts";

/** Decoded frames are kept as float32 and as 8-bit pictures. */
const floatBytes = 4;

type Size = Pick<Settings, "width" | "height" | "numFrames" | "decodeChunkSize" | "decodeMode">;

/**
 * Throws `out-of-memory` when the largest stage of a run needs more than the engine's machine has available, and names
 * a change that would fit.
 */
export function assertFitsInMemory(
  engine: Engine,
  networks: Networks,
  settings: Settings,
  { outputType, images }: { outputType: OutputType; images: number },
): void {
  const availableBytes = engine.availableMemoryBytes();
  const clips = outputType === "latents" ? 0 : images * settings.numVideosPerPrompt;
  const needed = largestStage(networks, settings, clips);
  if (needed.bytes <= availableBytes) return;
  const fits = (size: Size) => largestStage(networks, size, clips).bytes <= availableBytes;
  throw new StillmotionError(
    "out-of-memory",
    `generate: the ${needed.stage} needs about ${gigabytes(needed.bytes)} for ${settings.numFrames} frames of ` +
      `${settings.width}x${settings.height}, ${gigabytes(availableBytes)} are free; ${suggestion(settings, fits)}`,
  );
}

/** @param decodedClips how many clips are decoded and kept until the end */
function largestStage(networks: Networks, size: Size, decodedClips: number): { stage: Stage; bytes: number } {
  const { write } = networks;
  const latents = latentSize(networks, size);
  const needs: { stage: Stage; bytes: number }[] = [
    { stage: "image encoder", bytes: estimateMemory(write.imageEncoder().graph) },
    { stage: "vae encoder", bytes: estimateMemory(write.vaeEncoder({ height: size.height, width: size.width }).graph) },
    { stage: "unet", bytes: estimateMemory(write.unet({ frames: size.numFrames, ...latents }).graph) },
  ];
  if (decodedClips > 0) {
    const results = decodedClips * size.numFrames * size.width * size.height * 3 * (floatBytes + 1);
    needs.push({ stage: "vae decoder", bytes: results + decoderBytes(networks, size) });
  }
  return needs.reduce((largest, stage) => (stage.bytes > largest.bytes ? stage : largest));
}

function decoderBytes({ write, vae }: Networks, size: Size): number {
  const latents = latentSize({ vae }, size);
  const frames = Math.min(size.decodeChunkSize, size.numFrames);
  if (!isWindowed(size)) return estimateMemory(write.vaeDecoder({ frames, ...latents }).graph);
  // The largest segment, which decides, gets just the window; so it does in a clip of no more frames.
  const window = evenWindow(frames, size.numFrames);
  const segments = write.vaeDecoderSegments({ frames: window, window, ...latents });
  return Math.max(...segments.map(({ graph }) => estimateMemory(graph)));
}

/** The smallest change that fits: a chunk size costs least, then a smaller picture, then fewer frames as well. */
function suggestion(settings: Settings, fits: (size: Size) => boolean): string {
  for (let chunk = Math.floor(settings.decodeChunkSize / 2); chunk >= 1; chunk = Math.floor(chunk / 2)) {
    if (fits({ ...settings, decodeChunkSize: chunk })) return `decodeChunkSize ${chunk} would fit`;
  }
  for (const share of [0.75, 0.5, 0.25, 0.125]) {
    const smaller = { ...settings, width: scaled(settings.width, share), height: scaled(settings.height, share) };
    const size = `${smaller.width}x${smaller.height}`;
    if (fits(smaller)) return `${size} would fit`;
    if (fits({ ...smaller, decodeChunkSize: 1 })) return `${size} with decodeChunkSize 1 would fit`;
    const numFrames = Math.ceil(settings.numFrames * share);
    if (fits({ ...smaller, numFrames, decodeChunkSize: 1 })) {
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
