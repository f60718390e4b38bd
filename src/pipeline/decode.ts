/** How do latents become frames? Through the temporal decoder, some frames at a time. */
import type { Image } from "../image/image.ts";
import { type FloatTensor, floatTensor } from "../tensor.ts";
import type { Networks } from "./networks.ts";
import { type StageContext, withSession } from "./stages.ts";

/**
 * Decodes clips in chunks of up to `chunkSize` frames, each on its own as in the reference; a chunk never holds frames of
 * two clips.
 *
 * @param latents (clips, frames, 4, latent height, latent width)
 * @returns (frames, height, width, 3) in [0, 1], one a clip
 */
export async function decodeLatents(
  context: StageContext,
  networks: Networks,
  latents: FloatTensor,
  chunkSize: number,
): Promise<FloatTensor[]> {
  const [clips, frames, , latentHeight, latentWidth] = latents.shape as [number, number, number, number, number];
  const { scale, scalingFactor } = networks.vae;
  const results = Array.from({ length: clips }, () =>
    floatTensor([frames, latentHeight * scale, latentWidth * scale, 3]),
  );
  const scaled = latents.data.map((value) => Math.fround(1 / scalingFactor) * value);
  const frameSize = scaled.length / (clips * frames);
  const pixels = 3 * latentHeight * latentWidth * scale * scale;

  let done = 0;
  for (const [length, starts] of chunks(frames, chunkSize)) {
    const network = networks.write.vaeDecoder({ frames: length, height: latentHeight, width: latentWidth });
    await withSession(context, "vae decoder", network, async (session) => {
      for (const [clip, result] of results.entries()) {
        for (const start of starts) {
          context.onProgress({ stage: "vae decoder", state: "running", done, total: clips * frames });
          const first = (clip * frames + start) * frameSize;
          const chunk = floatTensor(
            [length, ...latents.shape.slice(2)],
            scaled.subarray(first, first + length * frameSize),
          );
          const output = await session.run({ latents: chunk }, context);
          result.data.set(unitRange(output.frames!.data as Float32Array), start * pixels);
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
function chunks(frames: number, chunkSize: number): Map<number, number[]> {
  const starts = Array.from({ length: Math.ceil(frames / chunkSize) }, (_, index) => index * chunkSize);
  return Map.groupBy(starts, (start) => Math.min(chunkSize, frames - start));
}

/** From [-1, 1] to [0, 1], clamped. */
function unitRange(values: Float32Array): Float32Array {
  return values.map((value) => Math.min(1, Math.max(0, Math.fround(value / 2) + 0.5)));
}
