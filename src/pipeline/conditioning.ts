/** What is a clip conditioned on? What the UNet makes of the picture's CLIP embedding, its latents with a little noise, and three numbers. */
import { StillmotionError } from "../errors.ts";
import { clipPixelValues } from "../image/clip-preprocess.ts";
import { type Fit, fitImage } from "../image/fit.ts";
import type { Image } from "../image/image.ts";
import { vaePixelValues } from "../image/vae-preprocess.ts";
import { type FloatTensor, floatTensor } from "../tensor.ts";
import type { JsonObject } from "../weights/types.ts";
import type { ImageConditioning } from "./denoise.ts";
import type { Halves } from "./guidance.ts";
import type { Networks } from "./networks.ts";
import { type StageContext, withStage } from "./run-stage.ts";
import type { StageDescription } from "./stages.ts";

/** What the networks see of one picture. */
export interface PictureInputs {
  /** (1, 3, size, size), of the original picture. */
  readonly clipPixels: FloatTensor;
  /** At the clip's size, for the VAE. */
  readonly fitted: Image;
}

/** What the networks will see of the pictures, in memory of its own: the caller may use the pictures' for something else. */
export function readPictures(
  networks: Networks,
  images: readonly Image[],
  featureExtractor: JsonObject,
  { width, height, fit }: { width: number; height: number; fit: Fit },
): PictureInputs[] {
  const clip = { size: networks.clip.imageSize, ...pixelStatistics(featureExtractor) };
  return images.map((image) => ({
    clipPixels: clipPixelValues(image, clip),
    fitted: fitImage(image, { width, height, fit }),
  }));
}

/** The CLIP embedding of each picture: (1, channels) each. */
export async function embedImages(
  context: StageContext,
  description: StageDescription,
  pictures: readonly PictureInputs[],
): Promise<FloatTensor[]> {
  const { stage, parts: total } = description;
  return withStage(context, description, async ([session]) => {
    const embeddings: FloatTensor[] = [];
    for (const { clipPixels } of pictures) {
      const done = embeddings.length;
      context.onProgress({ stage, state: "running", done, total });
      const part = pictureText(done, total);
      const { image_embedding } = await session!.run({ pixel_values: clipPixels }, { signal: context.signal, part });
      embeddings.push(image_embedding as FloatTensor);
    }
    return embeddings;
  });
}

/**
 * The latents of each picture at the clip's size, with noise on its pixels.
 *
 * @param noise (images, 3, height, width), as the reference draws it
 * @returns (1, 4, latent height, latent width) each
 */
export async function encodeImages(
  context: StageContext,
  description: StageDescription,
  pictures: readonly PictureInputs[],
  noise: FloatTensor,
  noiseAugStrength: number,
): Promise<FloatTensor[]> {
  const { stage, parts: total } = description;
  return withStage(context, description, async ([session]) => {
    const latents: FloatTensor[] = [];
    for (const [done, { fitted }] of pictures.entries()) {
      context.onProgress({ stage, state: "running", done, total });
      const part = pictureText(done, total);
      const pixels = vaePixelValues(fitted);
      addNoise(pixels, noise, done, noiseAugStrength);
      const result = await session!.run({ image: pixels }, { signal: context.signal, part });
      latents.push(result.latents as FloatTensor);
    }
    return latents;
  });
}

/**
 * What the UNet is conditioned on for each picture, and without one. Without, embedding and latents are zero: SVD was trained
 * so.
 *
 * @param description has one part for each picture, and one more where the run is guided: the half without a picture
 */
export async function conditionImages(
  context: StageContext,
  description: StageDescription,
  embeddings: readonly FloatTensor[],
  latents: readonly FloatTensor[],
): Promise<Halves<ImageConditioning>[]> {
  const { stage, parts: total } = description;
  const images = embeddings.map((embedding, index) => ({ embedding, latents: latents[index]! }));
  const isGuided = total > images.length;
  const zeros = (ofImages: readonly FloatTensor[]) => floatTensor(ofImages[0]!.shape);
  const withoutImage = { embedding: zeros(embeddings), latents: zeros(latents) };
  const all = isGuided ? [...images, withoutImage] : images;
  return withStage(context, description, async ([session]) => {
    const conditionings: ImageConditioning[] = [];
    for (const { embedding, latents } of all) {
      const done = conditionings.length;
      context.onProgress({ stage, state: "running", done, total });
      const part = done < images.length ? pictureText(done, images.length) : "the half of guidance without a picture";
      const result = await session!.run({ image_embedding: embedding }, { signal: context.signal, part });
      conditionings.push({ rows: result.conditioning as FloatTensor, latents });
    }
    const unconditional = isGuided ? conditionings.pop() : undefined;
    return conditionings.map((conditional) => ({ conditional, unconditional }));
  });
}

const pictureText = (index: number, count: number) => `picture ${index + 1} of ${count}`;

/** The numbers the UNet is told, (3, 1). It was trained on fps - 1. */
export function addedTimeIds(settings: { fps: number; motionBucketId: number; noiseAugStrength: number }): FloatTensor {
  const { fps, motionBucketId, noiseAugStrength } = settings;
  return floatTensor([3, 1], Float32Array.of(fps - 1, motionBucketId, noiseAugStrength));
}

/** pixels (1, height, width, 3) += strength * noise[index] (3, height, width). */
function addNoise(pixels: FloatTensor, noise: FloatTensor, index: number, strength: number): void {
  const area = pixels.data.length / 3;
  const scale = Math.fround(strength);
  for (let channel = 0; channel < 3; channel++) {
    const plane = (3 * index + channel) * area;
    for (let pixel = 0; pixel < area; pixel++) {
      pixels.data[3 * pixel + channel]! += Math.fround(scale * noise.data[plane + pixel]!);
    }
  }
}

function pixelStatistics(config: JsonObject): { mean: number[]; std: number[] } {
  const { image_mean: mean, image_std: std } = config;
  const isTriple = (value: unknown): value is number[] =>
    Array.isArray(value) && value.length === 3 && value.every((n) => typeof n === "number" && Number.isFinite(n));
  if (isTriple(mean) && isTriple(std) && !std.includes(0)) return { mean, std };
  throw new StillmotionError(
    "invalid-checkpoint",
    `feature_extractor/preprocessor_config.json: image_mean is ${JSON.stringify(mean)} and image_std ${JSON.stringify(std)}, expected three numbers each`,
  );
}
