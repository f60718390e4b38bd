/** What does a clip's file say of itself? Its size, frames and rate, and the settings that made it. */
import { open, readFile, stat } from "node:fs/promises";
import { FilePathSource, Input, MP4 } from "mediabunny";
import type { Metadata } from "sharp";
import { StillmotionError } from "../../errors.ts";
import type { ClipFormat } from "../../video/clip.ts";
import { commentKey } from "../../video/clip-safetensors.ts";
import { type StoredSettings, settingsFromText } from "../../video/metadata.ts";
import { commentFromXmp } from "../../video/xmp.ts";
import { importSharp } from "../image/import-sharp.ts";
import { readSafetensorsHeader } from "../weights.ts";
import { readGifComments } from "./gif.ts";
import { pngFramePath } from "./png-frames.ts";

/** What {@link readClipMetadata} finds. */
export interface ClipMetadata {
  readonly format: ClipFormat;
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  /** How many there are. */
  readonly frames: number;
  /** Frames a second; undefined where neither the format nor the settings say. */
  readonly fps: number | undefined;
  /** The settings given to {@link exportToVideo}; undefined for a clip that stillmotion did not write. */
  readonly settings: Record<string, unknown> | undefined;
}

/** What is known of a clip before it is compared with the stored settings. */
interface Found {
  readonly format: ClipFormat;
  readonly width: number;
  readonly height: number;
  readonly frames: number;
  /** As the format stores it, rounded to the format's units of time. */
  readonly durationSeconds: number | undefined;
  readonly stored: StoredSettings | undefined;
}

/**
 * Reads what a clip says of itself. The content decides the format, not the name. For PNG the path may be one numbered
 * file, or what was given to {@link exportToVideo} (`clip.png`, `clip-%04d.png`).
 *
 * @throws StillmotionError `output` for a missing file, a damaged one, or one that is no clip
 * @example
 * const { settings } = await readClipMetadata("generated.mp4");
 * console.log(settings?.seed);
 */
export async function readClipMetadata(path: string): Promise<ClipMetadata> {
  const numbered = (await exists(path)) ? undefined : await numberedFrames(path);
  const found = await find(numbered ? pngFramePath(path, 1) : path);
  const { format, width, height, stored } = found;
  const frames = numbered ? (stored?.frames ?? numbered) : found.frames;
  return { format, width, height, frames, fps: rateOf(found), settings: stored?.settings };
}

async function find(path: string): Promise<Found> {
  const format = await sniff(path);
  try {
    switch (format) {
      case "mp4":
        return await findMp4(path);
      case "safetensors":
        return await findSafetensors(path);
      default:
        return await findPicture(path, format);
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new StillmotionError("output", `${path}: cannot be read as ${format} (${reason}); is the file complete?`, {
      cause,
    });
  }
}

async function sniff(path: string): Promise<ClipFormat> {
  const start = Buffer.alloc(12);
  try {
    const file = await open(path);
    try {
      if ((await file.stat()).isDirectory()) throw new StillmotionError("output", `${path}: is a folder, not a clip`);
      await file.read(start, 0, start.length, 0);
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof StillmotionError) throw cause;
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new StillmotionError("output", missing ? `${path}: no such file` : `${path}: cannot be read (${cause})`, {
      cause,
    });
  }
  const text = start.toString("latin1");
  if (text.startsWith("ftyp", 4)) return "mp4";
  if (text.startsWith("GIF8")) return "gif";
  if (text.startsWith("RIFF") && text.endsWith("WEBP")) return "webp";
  if (text.startsWith("\x89PNG")) return "png";
  if (text[8] === "{") return "safetensors";
  throw new StillmotionError("output", `${path}: is no clip; expected MP4, GIF, WebP, PNG or safetensors`);
}

async function findMp4(path: string): Promise<Found> {
  const input = new Input({ source: new FilePathSource(path), formats: [MP4] });
  try {
    const track = await input.getPrimaryVideoTrack();
    if (!track) throw new Error("no video track");
    const { packetCount, averagePacketRate } = await track.computePacketStats();
    const { comment } = await input.getMetadataTags();
    return {
      format: "mp4",
      width: await track.getDisplayWidth(),
      height: await track.getDisplayHeight(),
      frames: packetCount,
      durationSeconds: packetCount / averagePacketRate,
      stored: settingsFromText(comment),
    };
  } finally {
    input.dispose();
  }
}

async function findPicture(path: string, format: "gif" | "webp" | "png"): Promise<Found> {
  const sharp = await importSharp();
  const picture = await sharp(path, { animated: true, limitInputPixels: false }).metadata();
  const { delay } = picture;
  return {
    format,
    width: picture.width,
    height: picture.pageHeight ?? picture.height,
    frames: picture.pages ?? 1,
    durationSeconds: delay ? delay.reduce((sum, ms) => sum + ms, 0) / 1000 : undefined,
    stored: (await comments(path, format, picture)).map(settingsFromText).find((stored) => stored !== undefined),
  };
}

async function comments(
  path: string,
  format: "gif" | "webp" | "png",
  picture: Metadata,
): Promise<(string | undefined)[]> {
  switch (format) {
    case "gif":
      return readGifComments(await readFile(path));
    case "webp":
      return [commentFromXmp(picture.xmpAsString ?? "")];
    case "png":
      return (picture.comments ?? []).map(({ text }) => text);
  }
}

async function findSafetensors(path: string): Promise<Found> {
  const { entries, metadata } = await readSafetensorsHeader(path);
  const [frames, height, width, channels] = entries.get("frames")?.shape ?? [];
  if (!frames || !height || !width || channels !== 3) {
    throw new Error("no tensor frames of shape (frames, height, width, 3)");
  }
  const stored = settingsFromText(metadata[commentKey]);
  return { format: "safetensors", width, height, frames, durationSeconds: undefined, stored };
}

/** The stored rate if the clip is as long as that rate makes it, within the 10 ms that GIF counts in; else the clip's own rate. */
function rateOf({ frames, durationSeconds, stored }: Found): number | undefined {
  if (!durationSeconds) return stored?.fps;
  const asStored = stored && Math.abs(frames / stored.fps - durationSeconds) <= 0.01;
  return asStored ? stored.fps : Number((frames / durationSeconds).toFixed(6));
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** How many numbered PNG files lie where the path says; undefined for none. */
async function numberedFrames(path: string): Promise<number | undefined> {
  let count = 0;
  while (await exists(pngFramePath(path, count + 1))) count += 1;
  return count || undefined;
}
