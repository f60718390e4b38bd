/** How do frames become an animated WebP? Each frame coded on its own, then put together with exact durations. */
import { StillmotionError, throwIfAborted, untilAborted } from "../../errors.ts";
import type { Image } from "../../image/image.ts";
import { clipSize, type EncodeOptions } from "../../video/clip.ts";
import { checkedFps, frameDurations } from "../../video/frame-rate.ts";
import { settingsToText } from "../../video/metadata.ts";
import { checkedQuality } from "../../video/quality.ts";
import { commentToXmp } from "../../video/xmp.ts";
import { importSharp } from "../image/import-sharp.ts";

export interface EncodeWebpOptions extends EncodeOptions {
  /** 1 (smallest file) to 100 (best picture). Default 90. */
  readonly quality?: number | undefined;
}

const longestSide = 16383;
const defaultQuality = 90;

/**
 * Codes a clip as animated WebP, looping forever, with the settings in an XMP packet.
 *
 * Durations are whole milliseconds, rounded so that the clip is as long as `frames / fps`. The parts are put together
 * here and not by libwebp, which drops a frame that equals the one before it.
 *
 * @param options `fps` 0.001 to 90, default 7; `quality` 1 to 100, default 90
 * @throws StillmotionError `invalid-option` for no frames, frames of two sizes, a size or a rate out of range; `aborted`
 */
export async function encodeWebp(frames: readonly Image[], options: EncodeWebpOptions = {}): Promise<Uint8Array> {
  const { width, height } = clipSize(frames);
  if (Math.max(width, height) > longestSide) {
    throw new StillmotionError(
      "invalid-option",
      `frames: size is ${width}x${height}, expected no side above ${longestSide} for WebP; resize them or write a .png`,
    );
  }
  const fps = checkedFps(options.fps, "webp");
  const quality = checkedQuality(options.quality, defaultQuality);
  const comment = settingsToText(options.metadata, fps, frames.length);

  const sharp = await importSharp();
  const durationsMs = frameDurations(frames.length, fps, 1000);
  const parts: Uint8Array[] = [];
  for (const [index, { data }] of frames.entries()) {
    throwIfAborted(options.signal);
    const still = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false });
    const webp = await untilAborted(still.webp({ quality, smartSubsample: true }).toBuffer(), options.signal);
    parts.push(animationFrame(webp, width, height, durationsMs[index]!));
  }

  // WebP container specification: VP8X flags for animation and XMP, then background colour and loop count.
  const features = [0x02 | 0x04, 0, 0, 0, ...uint24(width - 1), ...uint24(height - 1)];
  const body = Buffer.concat([
    ascii("WEBP"),
    chunk("VP8X", Uint8Array.from(features)),
    chunk("ANIM", Uint8Array.from([255, 255, 255, 255, 0, 0])),
    ...parts,
    chunk("XMP ", new TextEncoder().encode(commentToXmp(comment))),
  ]);
  return chunk("RIFF", body);
}

/** The ANMF chunk of a frame that covers the canvas and replaces what was there. */
function animationFrame(still: Uint8Array, width: number, height: number, durationMs: number): Uint8Array {
  const doNotBlend = 0x02;
  const header = [0, 0, 0, 0, 0, 0, ...uint24(width - 1), ...uint24(height - 1), ...uint24(durationMs), doNotBlend];
  return chunk("ANMF", Buffer.concat([Uint8Array.from(header), bitstreamChunk(still)]));
}

/** The coded picture of a still WebP, header included. */
function bitstreamChunk(still: Uint8Array): Uint8Array {
  const view = new DataView(still.buffer, still.byteOffset, still.byteLength);
  for (let at = 12; at + 8 <= still.length; ) {
    const sizeBytes = view.getUint32(at + 4, true);
    const end = at + 8 + sizeBytes + (sizeBytes % 2);
    const name = String.fromCharCode(...still.subarray(at, at + 4));
    if (name === "VP8 " || name === "VP8L") return still.subarray(at, end);
    at = end;
  }
  throw new StillmotionError("internal", "webp: the encoder's file holds no picture");
}

function chunk(name: string, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + payload.length + (payload.length % 2));
  bytes.set(ascii(name));
  new DataView(bytes.buffer).setUint32(4, payload.length, true);
  bytes.set(payload, 8);
  return bytes;
}

function uint24(value: number): number[] {
  return [value & 0xff, (value >> 8) & 0xff, value >> 16];
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
