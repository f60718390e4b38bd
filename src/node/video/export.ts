/** How does a clip become a file? The extension picks the format. */
import { extname, sep } from "node:path";
import { message, option, StillmotionError } from "../../errors.ts";
import type { Image } from "../../image/image.ts";
import { type ClipData, type ClipFormat, clipFormats } from "../../video/clip.ts";
import { encodeClipSafetensors } from "../../video/clip-safetensors.ts";
import { checkedFps } from "../../video/frame-rate.ts";
import { encodeGif } from "./gif.ts";
import { encodeMp4 } from "./mp4.ts";
import { encodePngs, pngFramePath } from "./png-frames.ts";
import { encodeWebp } from "./webp.ts";
import { checkWritable, type FileToWrite, writeFilesAtomically } from "./write-file.ts";

/** Options of {@link exportToVideo}. */
export interface ExportOptions {
  /** Frames a second: 0.001 to 1000 in MP4, 0.01 to 50 in GIF, 0.001 to 90 in WebP. Default 7. */
  readonly fps?: number | undefined;
  /** Default: what the path's extension says. */
  readonly format?: ClipFormat | undefined;
  /** Settings to store in the file, as {@link readClipMetadata} gives them back: JSON values, the seed among them. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  /** MP4 and WebP: 1 (smallest file) to 100 (best picture), default 90. The other formats have no such choice. */
  readonly quality?: number | undefined;
  /** Ends the export; nothing is left behind. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a clip as `.mp4`, `.gif`, `.webp`, numbered `.png` files or `.safetensors`.
 *
 * The file gets its name only when it is whole. `clip.png` makes `clip-0001.png` and so on; a pattern such as `clip-%04d.png` is
 * followed. Nothing is copied: leave frames and options as they are until the promise settles. It is the counterpart of `export_to_video` in diffusers.
 *
 * @param clip frames of one size, or the frames with their float frames and latents (kept by `.safetensors` alone)
 * @returns the paths of the files written
 * @throws StillmotionError `invalid-option` for frames, rate or format; `output` when a file cannot be written; `aborted`
 * @example
 * await exportToVideo(frames, "generated.mp4", { fps: 7, metadata: { seed: 42 } });
 */
export async function exportToVideo(
  clip: readonly Image[] | ClipData,
  path: string,
  options: ExportOptions = {},
): Promise<string[]> {
  const format = await checkOutput(path, options);
  if (options.quality !== undefined && format !== "mp4" && format !== "webp") {
    const problem = message`${option("quality")}: ${format} has no quality to choose; leave it out`;
    throw new StillmotionError("invalid-option", problem);
  }
  const data: ClipData = isFrames(clip) ? { frames: clip } : clip;
  const files = await encode(data, path, format, options);
  await writeFilesAtomically(files, options);
  return files.map((file) => file.path);
}

/**
 * Checks a path before the work that fills it: its format is known and can hold the rate, its folder can be written to.
 *
 * @returns the format
 * @throws StillmotionError `output`, or `invalid-option` for the format or the rate
 */
export async function checkOutput(
  path: string,
  { format, fps }: Pick<ExportOptions, "format" | "fps"> = {},
): Promise<ClipFormat> {
  checkNamesFile(path);
  const chosen = format === undefined ? formatOf(path) : knownFormat(format);
  checkedFps(fps, chosen);
  await checkWritable(filesOfClip(path, 1, chosen)[0]!);
  return chosen;
}

function checkNamesFile(path: string): void {
  if (path === "") throw new StillmotionError("output", "the output's path is empty, expected one such as clip.mp4");
  if (!path.endsWith("/") && !path.endsWith(sep)) return;
  const problem = `${path}: names a folder, expected a file name; add one to the path, or leave out the last ${path.at(-1)}`;
  throw new StillmotionError("output", problem);
}

/** The files that a clip of so many frames is written to: for PNG one a frame. */
export function filesOfClip(path: string, frames: number, format: ClipFormat): string[] {
  if (format !== "png") return [path];
  return Array.from({ length: frames }, (_, index) => pngFramePath(path, index + 1));
}

async function encode(
  clip: ClipData,
  path: string,
  format: ClipFormat,
  options: ExportOptions,
): Promise<FileToWrite[]> {
  switch (format) {
    case "mp4":
      return [{ path, bytes: await encodeMp4(clip.frames, options) }];
    case "gif":
      return [{ path, bytes: await encodeGif(clip.frames, options) }];
    case "webp":
      return [{ path, bytes: await encodeWebp(clip.frames, options) }];
    case "safetensors":
      return [{ path, bytes: encodeClipSafetensors(clip, options) }];
    case "png": {
      const paths = filesOfClip(path, clip.frames.length, format);
      const files = await encodePngs(clip.frames, options);
      return files.map((bytes, index) => ({ path: paths[index]!, bytes }));
    }
  }
}

function formatOf(path: string): ClipFormat {
  const extension = extname(path);
  const known = clipFormats.find((format) => `.${format}` === extension.toLowerCase());
  if (known) return known;
  const got = /^\.?$/.test(extension) ? "no extension" : `the extension ${extension}`;
  throw new StillmotionError("output", `${path}: got ${got}, expected one of ${knownExtensions()}`);
}

function knownFormat(format: string): ClipFormat {
  const known = clipFormats.find((name) => name === format);
  if (known) return known;
  throw new StillmotionError(
    "invalid-option",
    message`${option("format")}: got ${String(format)}, expected one of ${clipFormats.join(", ")}`,
  );
}

function knownExtensions(): string {
  return clipFormats.map((format) => `.${format}`).join(", ");
}

function isFrames(clip: readonly Image[] | ClipData): clip is readonly Image[] {
  return Array.isArray(clip);
}
