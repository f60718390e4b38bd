/** How do frames become numbered PNG files? Lossless, one picture a file, the settings in each as its comment. */
import { basename, dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { throwIfAborted } from "../../errors.ts";
import type { Image } from "../../image/image.ts";
import { clipSize, type EncodeOptions } from "../../video/clip.ts";
import { checkedFps } from "../../video/frame-rate.ts";
import { settingsToText } from "../../video/metadata.ts";
import { importSharp } from "../image/import-sharp.ts";

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
 * The file of a frame, counted from 1. The number takes the place of `%d` or `%04d` in the path's name, else it comes before the
 * extension (`clip.png` gives `clip-0001.png` and so on).
 */
export function pngFramePath(path: string, number: number): string {
  const { before, digits, after } = numberingOf(path);
  return join(dirname(path), `${before}${numberText(number, digits)}${after}`);
}

/** The number of a frame by its file's name in the folder of `path`; undefined for a name that {@link pngFramePath} does not give. */
export function pngFrameNumber(path: string, fileName: string): number | undefined {
  const { before, digits, after } = numberingOf(path);
  const isLong = fileName.length > before.length + after.length;
  if (!isLong || !fileName.startsWith(before) || !fileName.endsWith(after)) return undefined;
  const text = fileName.slice(before.length, fileName.length - after.length);
  const number = /^\d+$/.test(text) ? Number(text) : 0;
  return number > 0 && numberText(number, digits) === text ? number : undefined;
}

/** More digits than a name may have on any file system; the file system then says so. */
const longestNumber = 1000;

function numberingOf(path: string): { before: string; digits: number; after: string } {
  const name = basename(path);
  const pattern = /%(?:0(\d+))?d/.exec(name);
  if (pattern) {
    const after = name.slice(pattern.index + pattern[0].length);
    const digits = Math.min(Number(pattern[1] ?? 1), longestNumber);
    return { before: name.slice(0, pattern.index), digits, after };
  }
  const [after] = /(\.png)?$/i.exec(name)!;
  return { before: `${name.slice(0, name.length - after.length)}-`, digits: 4, after };
}

function numberText(number: number, digits: number): string {
  return String(number).padStart(digits, "0");
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
