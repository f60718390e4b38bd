/** How do latents become frames? Through the VAE's decoder, all at once or some frames at a time. */
import type { Engine } from "../engine/engine.ts";
import type { Image } from "../image/image.ts";
import type { WrittenSegment } from "../models/network.ts";
import { loadedInTurn, memoryOf } from "../onnx/memory.ts";
import type { Settings } from "../options/resolve-settings.ts";
import { scratchBytes } from "../streaming/clip-maps.ts";
import { runSegments } from "../streaming/run-segments.ts";
import { workspaceSize } from "../streaming/segment-workspace.ts";
import { type FloatTensor, floatTensor } from "../tensor.ts";
import { latentSize, type Networks } from "./networks.ts";
import { withWorkspace } from "./shared-workspace.ts";
import { type ProgressEvent, type StageContext, withSession } from "./stages.ts";

/** Whether frames that are not decoded together are decoded as if they were, or each chunk by itself as in the reference. */
export const decodeModes = ["exact", "reference"] as const;

/** See `generateSchema`. */
export interface DecodeSettings {
  readonly decodeChunkSize: number;
  readonly decodeMode: (typeof decodeModes)[number];
}

/**
 * Decodes clips, up to `decodeChunkSize` frames at a time.
 *
 * @param latents (clips, frames, 4, latent height, latent width)
 * @returns (frames, height, width, 3) in [0, 1], one a clip
 */
export async function decodeLatents(
  context: StageContext,
  networks: Networks,
  latents: FloatTensor,
  { decodeChunkSize, decodeMode }: DecodeSettings,
): Promise<FloatTensor[]> {
  const { scalingFactor } = networks.vae;
  const scaled = floatTensor(
    latents.shape,
    latents.data.map((value) => Math.fround(1 / scalingFactor) * value),
  );
  const decode = isWindowed({ decodeChunkSize, decodeMode, numFrames: latents.shape[1]! })
    ? decodeInWindows
    : decodeInChunks;
  return decode(context, networks, scaled, decodeChunkSize);
}

/** Whether the frames of a clip are decoded as one while only some of them are in memory. */
export function isWindowed({
  decodeChunkSize,
  decodeMode,
  numFrames,
}: DecodeSettings & { numFrames: number }): boolean {
  return decodeMode === "exact" && decodeChunkSize < numFrames;
}

/** The parts that a clip is decoded in, a window at a time. */
export function decoderSegments(
  networks: Networks,
  settings: Pick<Settings, "width" | "height" | "numFrames" | "decodeChunkSize">,
): WrittenSegment[] {
  const { numFrames: frames, decodeChunkSize: window } = settings;
  return networks.write.vaeDecoderSegments({ frames, window, ...latentSize(networks, settings) });
}

/** What decoding sets aside at a time; 0 where all frames of a chunk are in memory. */
export function setAsideBytes(networks: Networks, settings: Settings): number {
  return isWindowed(settings) ? scratchBytes(decoderSegments(networks, settings), settings.numFrames) : 0;
}

/** Throws `output` when decoding would set more aside than the engine has room for. */
export async function assertScratchFits(engine: Engine, networks: Networks, settings: Settings): Promise<void> {
  if (isWindowed(settings)) await engine.assertScratchFits(setAsideBytes(networks, settings));
}

/** All frames of a clip as one, `window` of them in memory at a time; one clip after the other. */
async function decodeInWindows(
  context: StageContext,
  networks: Networks,
  latents: FloatTensor,
  window: number,
): Promise<FloatTensor[]> {
  const [clips, frames, , height, width] = latents.shape as [number, number, number, number, number];
  const segments = networks.write.vaeDecoderSegments({ frames, window, height, width });
  const clipSize = latents.data.length / clips;
  const results: FloatTensor[] = [];
  const stage = "vae decoder";
  const tell = (done: number) => context.onProgress({ stage, state: "running", done, total: clips * frames });
  // Segments load and end one by one; the stage does so once.
  let [isLoading, ended]: [boolean, ProgressEvent["state"]] = [false, "released"];
  const onSegment = ({ state }: ProgressEvent) => {
    if (state !== "loading") ended = state;
    else if (!isLoading) {
      isLoading = true;
      context.onProgress({ stage, state });
      tell(0);
    }
  };
  const ofSegments: StageContext = { ...context, onProgress: onSegment };
  try {
    const { weightsBytes } = loadedInTurn(segments.map(({ graph }) => memoryOf(graph)));
    await withWorkspace(ofSegments, workspaceSize(segments), weightsBytes, async (inWorkspace) => {
      for (let clip = 0; clip < clips; clip++) {
        const onWork = (share: number) => tell(Math.floor((clip + share) * frames));
        const given = latents.data.subarray(clip * clipSize, (clip + 1) * clipSize);
        const decoded = await runSegments(inWorkspace, segments, given, frames, `clip ${clip + 1}`, onWork);
        toUnitRange(decoded);
        results.push(floatTensor(framesShape(networks, latents), decoded));
      }
    });
  } finally {
    context.onProgress({ stage, state: ended });
  }
  return results;
}

/** Chunks of frames, each on its own; a chunk never holds frames of two clips. */
async function decodeInChunks(
  context: StageContext,
  networks: Networks,
  latents: FloatTensor,
  chunkSize: number,
): Promise<FloatTensor[]> {
  const [clips, frames, , height, width] = latents.shape as [number, number, number, number, number];
  const results = Array.from({ length: clips }, () => floatTensor(framesShape(networks, latents)));
  const frameSize = latents.data.length / (clips * frames);
  const pixels = results[0]!.data.length / frames;

  let done = 0;
  for (const [length, starts] of chunks(frames, chunkSize)) {
    const network = networks.write.vaeDecoder({ frames: length, height, width });
    await withSession(context, "vae decoder", network, async (session) => {
      for (const [clip, result] of results.entries()) {
        for (const start of starts) {
          context.onProgress({ stage: "vae decoder", state: "running", done, total: clips * frames });
          const first = (clip * frames + start) * frameSize;
          const chunk = floatTensor(
            [length, ...latents.shape.slice(2)],
            latents.data.subarray(first, first + length * frameSize),
          );
          const part = `clip ${clip + 1}, frames ${start + 1} to ${start + length}`;
          const output = await session.run({ latents: chunk }, { signal: context.signal, part });
          const decoded = output.frames!.data as Float32Array;
          toUnitRange(decoded);
          result.data.set(decoded, start * pixels);
          done += length;
        }
      }
    });
  }
  return results;
}

/** The 8-bit pictures of a clip: (frames, height, width, 3) in [0, 1], rounded half to even as NumPy does. */
export function toImages(frames: FloatTensor): Image[] {
  const [count, height, width] = frames.shape as [number, number, number];
  const size = height * width * 3;
  return Array.from({ length: count }, (_, frame) => {
    const data = new Uint8Array(size);
    for (let i = 0; i < size; i++) {
      const scaled = Math.fround(frames.data[frame * size + i]! * 255);
      const rounded = Math.round(scaled);
      data[i] = rounded - scaled === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded;
    }
    return { width, height, data };
  });
}

/** Chunk lengths with the frames at which such chunks start: full ones, then a shorter last one. */
export function chunks(frames: number, chunkSize: number): Map<number, number[]> {
  const starts = Array.from({ length: Math.ceil(frames / chunkSize) }, (_, index) => index * chunkSize);
  return Map.groupBy(starts, (start) => Math.min(chunkSize, frames - start));
}

/** Of one decoded clip: (frames, height, width, 3). */
function framesShape({ vae }: Networks, latents: FloatTensor): readonly number[] {
  const [, frames, , height, width] = latents.shape as [number, number, number, number, number];
  return [frames, height * vae.scale, width * vae.scale, 3];
}

/** From [-1, 1] to [0, 1], clamped. */
function toUnitRange(values: Float32Array): void {
  for (let i = 0; i < values.length; i++) values[i] = Math.min(1, Math.max(0, Math.fround(values[i]! / 2) + 0.5));
}
