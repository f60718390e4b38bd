/** How do frames become an animated GIF? Up to 256 colours a frame, looping forever, settings in a comment block. */
import { StillmotionError, untilAborted } from "../../errors.ts";
import type { Image } from "../../image/image.ts";
import { clipSize, type EncodeOptions } from "../../video/clip.ts";
import { checkedFps, frameDurations } from "../../video/frame-rate.ts";
import { settingsToText } from "../../video/metadata.ts";
import { importSharp } from "../image/import-sharp.ts";

const longestSide = 65535;
const longestStack = 10_000_000; // rows of one picture in libvips

/**
 * Codes a clip as GIF.
 *
 * Delays are whole hundredths of a second, rounded so that the clip is as long as `frames / fps`. Colours are chosen for
 * each frame and dithered.
 *
 * @param options `fps` 0.01 to 50, default 7
 * @throws StillmotionError `invalid-option` for no frames, frames of two sizes, a size or a rate out of range; `aborted`
 */
export async function encodeGif(frames: readonly Image[], options: EncodeOptions = {}): Promise<Uint8Array> {
  const { width, height } = clipSize(frames);
  if (Math.max(width, height) > longestSide || height * frames.length > longestStack) {
    throw new StillmotionError(
      "invalid-option",
      `frames: ${frames.length} of ${width}x${height}, expected no side above ${longestSide} and at most ` +
        `${longestStack} rows in all for GIF; write an .mp4 or fewer frames`,
    );
  }
  const fps = checkedFps(options.fps, "gif");
  const comment = settingsToText(options.metadata, fps, frames.length);
  const sharp = await importSharp();
  const stack = Buffer.concat(frames.map((frame) => frame.data)); // (frames * height, width, 3)
  const raw = { width, height: height * frames.length, channels: 3, pageHeight: height } as const;
  const gif = await untilAborted(
    sharp(stack, { raw, limitInputPixels: false })
      .gif({
        loop: 0,
        delay: frameDurations(frames.length, fps, 100).map((hundredths) => hundredths * 10),
        keepDuplicateFrames: true,
      })
      .toBuffer(),
    options.signal,
  );
  return withComment(gif, comment);
}

// GIF89a: extension introducer and label of a comment, image separator, trailer.
const extension = 0x21;
const commentLabel = 0xfe;
const imageSeparator = 0x2c;
const trailer = 0x3b;
const longestSubBlock = 255;

/** Puts a comment extension before the trailer. */
function withComment(gif: Uint8Array, comment: string): Uint8Array {
  if (gif.at(-1) !== trailer) throw new StillmotionError("internal", "gif: the encoder's file has no trailer");
  const text = new TextEncoder().encode(comment);
  const block = [extension, commentLabel];
  for (let at = 0; at < text.length; at += longestSubBlock) {
    const part = text.subarray(at, at + longestSubBlock);
    block.push(part.length, ...part);
  }
  return Buffer.concat([gif.subarray(0, -1), Uint8Array.from([...block, 0, trailer])]);
}

/** The comments of a GIF, in order; empty for a damaged file. */
export function readGifComments(gif: Uint8Array): string[] {
  const comments: string[] = [];
  let at = 13 + colourTableBytes(gif[10] ?? 0); // header, logical screen descriptor, global colour table
  while (at < gif.length && gif[at] !== trailer) {
    if (gif[at] === extension) {
      const { bytes, end } = readSubBlocks(gif, at + 2);
      if (gif[at + 1] === commentLabel) comments.push(new TextDecoder().decode(bytes));
      at = end;
    } else if (gif[at] === imageSeparator) {
      at = readSubBlocks(gif, at + 11 + colourTableBytes(gif[at + 9] ?? 0)).end;
    } else {
      return comments;
    }
  }
  return comments;
}

function colourTableBytes(flags: number): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
}

function readSubBlocks(gif: Uint8Array, start: number): { bytes: Uint8Array; end: number } {
  const parts: Uint8Array[] = [];
  let at = start;
  while (at < gif.length && gif[at] !== 0) {
    const size = gif[at]!;
    parts.push(gif.subarray(at + 1, at + 1 + size));
    at += 1 + size;
  }
  return { bytes: Buffer.concat(parts), end: at + 1 };
}
