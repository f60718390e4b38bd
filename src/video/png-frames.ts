/** How do frames become numbered PNG files? Lossless, one picture a file, the settings in each as its comment. */
import { basename, dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { throwIfAborted } from "../errors.ts";
import type { Image } from "../image/image.ts";
import { importSharp } from "../image/import-sharp.ts";
import { clipSize, type EncodeOptions } from "./clip.ts";
import { checkedFps } from "./frame-rate.ts";
import { settingsToText } from "./metadata.ts";

/**
 * Codes each frame as PNG.
 *
 * @param options `fps`, any rate above 0, is stored with the settings
 * @returns one file's bytes a frame, in order
 * @throws StillmotionError `invalid-option` for no frames, frames of two sizes or a bad rate; `aborted`
 */
export async function encodePngs(frames: readonly Image[], options: EncodeOptions = {}): Promise<Uint8Array[]> {
  const { width, height } = clipSize(frames);
  const fps = checkedFps(options.fps, "png");
  const comment = settingsToText(options.metadata, fps, frames.length);
  const sharp = await importSharp();
  const files: Uint8Array[] = [];
  for (const { data } of frames) {
    throwIfAborted(options.signal);
    const picture = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false });
    files.push(withComment(await picture.png({ adaptiveFiltering: true }).toBuffer(), comment));
  }
  return files;
}

/**
 * The files that a path stands for, counted from 1: `%d` or `%04d` in its name is the number, else the number goes
 * before the extension (`clip.png` is `clip-0001.png` and so on).
 */
export function pngFramePath(path: string, number: number): string {
  const name = basename(path);
  const pattern = /%(?:0(\d+))?d/.exec(name);
  if (pattern) {
    const digits = String(number).padStart(Number(pattern[1] ?? 1), "0");
    return join(dirname(path), name.replace(pattern[0], digits));
  }
  return join(dirname(path), name.replace(/(\.png)?$/i, `-${String(number).padStart(4, "0")}$1`));
}

/** Puts a tEXt chunk (PNG specification, section 11.3.3.2) after the IHDR chunk. */
function withComment(png: Uint8Array, comment: string): Uint8Array {
  const headerEnd = 33; // signature 8, IHDR 25
  const typed = new TextEncoder().encode(`tEXtComment\0${comment}`);
  const chunk = Buffer.alloc(typed.length + 8);
  chunk.writeUInt32BE(typed.length - 4);
  chunk.set(typed, 4);
  chunk.writeUInt32BE(crc32(typed), chunk.length - 4);
  return Buffer.concat([png.subarray(0, headerEnd), chunk, png.subarray(headerEnd)]);
}
