/** How large can a clip's file become? Known before there are frames, from their number and size. */
import type { ClipFormat } from "./clip.ts";

/**
 * Bytes a pixel. For the coded formats it is somewhat more than frames of noise and of hard edges take at the default quality, which
 * is many times what a clip takes. For the others it is what is stored, with latents of a quarter of the clip's width and height.
 */
const bytesPerPixel: Readonly<Record<ClipFormat, number>> = {
  mp4: 1.75,
  gif: 1.5,
  webp: 1.25,
  png: 3.1,
  safetensors: 13,
};

/** For palettes, headers, and the unused end of a file system's block. */
const bytesPerFrame = 8192;
/** The settings, which may hold a thousand noise levels. */
const bytesPerClip = 65536;

/** The most bytes that a clip will take, in all its files. */
export function largestClipBytes(
  format: ClipFormat,
  { numFrames, width, height }: { numFrames: number; width: number; height: number },
): number {
  return bytesPerClip + numFrames * (bytesPerFrame + Math.ceil(width * height * bytesPerPixel[format]));
}
