/** How do latents become frames? Through the VAE's decoder, all at once or some frames at a time. */
import type { Image } from "../image/image.ts";
import { runSegments } from "../streaming/run-segments.ts";
import { type FloatTensor, floatTensor } from "../tensor.ts";
import type { Networks } from "./networks.ts";
import type { ProgressEvent } from "./progress.ts";
import { type StageContext, withSessions, withWorkspace } from "./run-stage.ts";
import type { DecoderStage } from "./stages.ts";

/**
 * Decodes clips.
 *
 * @param description in windows or in chunks of frames
 * @param latents (clips, frames, 4, latent height, latent width)
 * @returns (frames, height, width, 3) in [0, 1], one a clip
 */
export async function decodeLatents(
  context: StageContext,
  description: DecoderStage,
  { vae }: Pick<Networks, "vae">,
  latents: FloatTensor,
): Promise<FloatTensor[]> {
  const scaled = floatTensor(
    latents.shape,
    latents.data.map((value) => Math.fround(1 / vae.scalingFactor) * value),
  );
  const [, frames, , height, width] = latents.shape as [number, number, number, number, number];
  const shape = [frames, height * vae.scale, width * vae.scale, 3];
  return "segments" in description
    ? decodeInWindows(context, description, scaled, shape)
    : decodeInChunks(context, description, scaled, shape);
}

/** All frames of a clip as one, a window of them in memory at a time; one clip after the other. */
async function decodeInWindows(
  context: StageContext,
  { stage, segments, memory, workspace, parts: total }: Extract<DecoderStage, { segments: unknown }>,
  latents: FloatTensor,
  shape: readonly number[],
): Promise<FloatTensor[]> {
  const [clips, frames] = latents.shape as [number, number];
  const clipSize = latents.data.length / clips;
  const results: FloatTensor[] = [];
  const tell = (done: number) => context.onProgress({ stage, state: "running", done, total });
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
    await withWorkspace(ofSegments, { memory, workspace: workspace! }, async (inWorkspace) => {
      for (let clip = 0; clip < clips; clip++) {
        const onWork = (share: number) => tell(Math.floor((clip + share) * frames));
        const given = latents.data.subarray(clip * clipSize, (clip + 1) * clipSize);
        const decoded = await runSegments(inWorkspace, segments, given, frames, `clip ${clip + 1}`, onWork);
        toUnitRange(decoded);
        results.push(floatTensor(shape, decoded));
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
  { stage, chunks, memory, workspace, parts: total }: Extract<DecoderStage, { chunks: unknown }>,
  latents: FloatTensor,
  shape: readonly number[],
): Promise<FloatTensor[]> {
  const [clips, frames] = latents.shape as [number, number];
  const results = Array.from({ length: clips }, () => floatTensor(shape));
  const frameSize = latents.data.length / (clips * frames);
  const pixels = results[0]!.data.length / frames;

  let done = 0;
  await withWorkspace(context, { memory, workspace: workspace! }, async (inWorkspace) => {
    for (const { network, frames: length, starts } of chunks) {
      await withSessions(inWorkspace, stage, [network], async ([session]) => {
        for (const [clip, result] of results.entries()) {
          for (const start of starts) {
            context.onProgress({ stage, state: "running", done, total });
            const first = (clip * frames + start) * frameSize;
            const chunk = floatTensor(
              [length, ...latents.shape.slice(2)],
              latents.data.subarray(first, first + length * frameSize),
            );
            const part = `clip ${clip + 1}, frames ${start + 1} to ${start + length}`;
            const output = await session!.run({ latents: chunk }, { signal: context.signal, part });
            const decoded = output.frames!.data as Float32Array;
            toUnitRange(decoded);
            result.data.set(decoded, start * pixels);
            done += length;
          }
        }
      });
    }
  });
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

/** From [-1, 1] to [0, 1], clamped. */
function toUnitRange(values: Float32Array): void {
  for (let i = 0; i < values.length; i++) values[i] = Math.min(1, Math.max(0, Math.fround(values[i]! / 2) + 0.5));
}
