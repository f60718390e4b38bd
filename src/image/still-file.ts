/** Which file shows the one still in a picture file? Often the file itself, else its only or first frame, with its place on a canvas. */
import type { Canvas } from "./canvas.ts";
import { gifFirstFrame } from "./gif-first-frame.ts";
import { boxesAt } from "./iso-boxes.ts";
import { pngChunks } from "./png-chunks.ts";
import type { ImageFormat } from "./sniff.ts";

/** What a decoder reads to see the one still of a picture file. */
export interface StillFile {
  /** A file of one picture. */
  readonly bytes: Uint8Array;
  /** A file with the same picture, white where it is opaque and black where it is transparent, if `bytes` does not say. */
  readonly opacity?: Uint8Array | undefined;
  /** Undefined where the file is the whole picture. */
  readonly canvas?: Canvas | undefined;
  /** `ignored`: all is opaque, whatever its alpha. `premultiplied`: colours are stored multiplied with it. */
  readonly alpha: "straight" | "premultiplied" | "ignored";
}

/** @throws Error for a GIF that ends before its first frame */
export function stillFile(format: ImageFormat, file: Uint8Array): StillFile {
  if (format === "gif") {
    const { bytes, opacity, canvas } = gifFirstFrame(file);
    return { bytes, opacity, canvas, alpha: "straight" };
  }
  return { bytes: isSequence(format, file) ? asStillBrand(file) : file, alpha: alphaOf(format, file) };
}

function alphaOf(format: ImageFormat, file: Uint8Array): StillFile["alpha"] {
  // `prem` refers from the colours to their alpha: ISO/IEC 23008-12, section 6.6.2.1.
  if (format === "avif" && boxesAt(file, "meta/iref/prem").length > 0) return "premultiplied";
  if (format === "webp" && isAnimatedWebp(file) && (file[20]! & alphaFlag) === 0) return "ignored";
  return "straight";
}

/**
 * How many pictures a PNG, WebP or AVIF shows one after the other. A PNG's default image that is not part of its animation
 * does not count.
 */
export function countFrames(format: ImageFormat, bytes: Uint8Array): number {
  if (isSequence(format, bytes)) return sequenceLength(bytes);
  if (format === "webp" && isAnimatedWebp(bytes)) return countWebpFrames(bytes);
  if (format === "png") return animationControlFrames(bytes);
  return 1;
}

/** As a flag of the extended header says; libwebp looks at nothing else. */
function isAnimatedWebp(file: Uint8Array): boolean {
  return latin1(file.subarray(12, 16)) === "VP8X" && (file[20]! & animationFlag) !== 0;
}

const animationFlag = 0x02;
const alphaFlag = 0x10;

/** The number of `ANMF` chunks in the RIFF container. */
function countWebpFrames(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let frames = 0;
  for (let at = 12; at + 8 <= bytes.length; ) {
    if (latin1(bytes.subarray(at, at + 4)) === "ANMF") frames += 1;
    const length = view.getUint32(at + 4, true);
    at += 8 + length + (length % 2);
  }
  return frames;
}

/** The number that the `acTL` chunk of an animated PNG says; 1 without one. */
function animationControlFrames(bytes: Uint8Array): number {
  for (const { name, data } of pngChunks(bytes)) {
    if (name === "acTL" && data.length >= 4) return new DataView(data.buffer, data.byteOffset).getUint32(0);
  }
  return 1;
}

/** True for an AVIF whose major brand says that its tracks are to be shown, not its primary item. */
function isSequence(format: ImageFormat, bytes: Uint8Array): boolean {
  return format === "avif" && latin1(bytes.subarray(8, 12)) === "avis";
}

/** The length of the longest track, since alpha has a track of its own. Without tracks nothing says that it is one picture. */
function sequenceLength(bytes: Uint8Array): number {
  const lengths = boxesAt(bytes, "moov/trak/mdia/minf/stbl/stsz")
    .filter((sizes) => sizes.length >= 12)
    .map((sizes) => new DataView(sizes.buffer, sizes.byteOffset).getUint32(8));
  return lengths.length > 0 ? Math.max(...lengths) : Number.POSITIVE_INFINITY;
}

/** The primary item of a sequence is its first picture. libheif reads it under the still's brand. */
function asStillBrand(file: Uint8Array): Uint8Array {
  const bytes = file.slice();
  bytes.set([0x61, 0x76, 0x69, 0x66], 8); // avif
  return bytes;
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
