/** How does a picture file become an image? Read, identified, decoded with sharp, turned upright, brought to RGB. */
import type { Metadata, Sharp } from "sharp";
import { inCall, message, option, StillmotionError, throwIfAborted } from "../errors.ts";
import { gifFirstFrame } from "./gif-first-frame.ts";
import type { Image } from "./image.ts";
import { importSharp } from "./import-sharp.ts";
import { orient } from "./orientation.ts";
import type { ImageSource, SourceBytes } from "./read-source.ts";
import { readSource } from "./read-source.ts";
import type { ImageFormat } from "./sniff.ts";
import { isAnimated, sniff } from "./sniff.ts";

export interface LoadImageOptions {
  /** Width times height that is decoded at most; default 50 million. Checked before decoding. */
  readonly maxPixels?: number | undefined;
  /** Bytes that are read or downloaded at most; default 50 million. */
  readonly maxBytes?: number | undefined;
  /** Milliseconds for a download as a whole; default 30 000. */
  readonly timeoutMs?: number | undefined;
  /** Ends reading with the error code `aborted`. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Loads a still picture: JPEG, PNG, WebP, AVIF, or the first frame of a GIF.
 *
 * The pixels are those of diffusers' `load_image`: turned upright by the EXIF orientation, alpha dropped (not blended),
 * grey and CMYK brought to RGB with Pillow's formulas, values as stored (colour profiles are not applied). Two
 * differences: 16-bit grey keeps its upper 8 bits where Pillow clips at 255, and AVIF with halved colour resolution
 * may differ at sharp colour edges, where decoders are free.
 *
 * @param source a path, an http(s), file or data URL, the file's bytes, or a Blob
 * @throws StillmotionError `invalid-image` when there is no such file, it is not a picture, damaged, animated (other than
 *   GIF) or beyond the limits; `aborted` when the signal fires
 * @example
 * const image = await loadImage("rocket.png");
 * @source diffusers 0.42.1 utils/loading_utils.py `load_image`
 */
export async function loadImage(source: ImageSource, options: LoadImageOptions = {}): Promise<Image> {
  const { maxPixels = 50e6, maxBytes = 50e6, timeoutMs = 30_000, signal } = options;
  checkLimits({ maxPixels, maxBytes, timeoutMs });

  const file = await readSource(source, { maxBytes, timeoutMs, signal });
  const format = identify(file);
  const bytes = format === "gif" ? gifFirstFrame(file.bytes) : file.bytes;
  throwIfAborted(signal);

  const sharp = await importSharp();
  try {
    const header = await sharp(bytes, { limitInputPixels: false }).metadata();
    checkHeader(file.name, format, header, maxPixels);
    const opened = sharp(bytes, { limitInputPixels: false, ignoreIcc: true, failOn: "error" });
    const stored = header.space === "cmyk" ? await decodeCmyk(opened) : await decodeRgb(opened);
    throwIfAborted(signal);
    return orient(stored, format === "avif" ? 1 : orientationOf(header));
  } catch (error) {
    if (error instanceof StillmotionError) throw error;
    throw damaged(file.name, format, error);
  }
}

function checkLimits(limits: Record<string, number>): void {
  for (const [name, value] of Object.entries(limits)) {
    if (!(typeof value === "number" && value > 0)) {
      const problem = message`${inCall("loadImage")}${option(name)} is ${value}, expected a number above 0`;
      throw new StillmotionError("invalid-option", problem);
    }
  }
}

/** Only bytes with one of the five signatures reach libvips, so its other loaders (SVG, PDF, TIFF) never run. */
function identify({ name, bytes }: SourceBytes): ImageFormat {
  const sniffed = sniff(bytes);
  if ("looksLike" in sniffed) {
    throw new StillmotionError(
      "invalid-image",
      `image ${name}: looks like ${sniffed.looksLike}, expected JPEG, PNG, WebP, AVIF or GIF; ` +
        "if it is a picture, save it as PNG or JPEG, else name another file",
    );
  }
  if (isAnimated(sniffed.format, bytes)) {
    throw new StillmotionError(
      "invalid-image",
      `image ${name}: is an animated ${upperName(sniffed.format)}, expected a still; save one frame of it as PNG`,
    );
  }
  return sniffed.format;
}

function checkHeader(name: string, format: ImageFormat, header: Metadata, maxPixels: number): void {
  const decoder = header.format === "heif" ? "avif" : header.format;
  if (decoder !== format) {
    throw new StillmotionError(
      "invalid-image",
      `image ${name}: begins as ${upperName(format)} but reads as ${header.format}; save it again as PNG or JPEG`,
    );
  }
  const { width, height } = header;
  if (width * height > maxPixels) {
    const got = `image ${name}: has ${width}x${height} = ${megapixels(width * height)} megapixels`;
    const mend = message`shrink it, or raise ${option("maxPixels")}`;
    throw new StillmotionError("invalid-image", message`${got}, expected at most ${megapixels(maxPixels)}; ${mend}`);
  }
}

async function decodeRgb(opened: Sharp): Promise<Image> {
  const { data, info } = await opened.removeAlpha().toColourspace("srgb").raw().toBuffer({ resolveWithObject: true });
  if (info.channels !== 3) throw new StillmotionError("internal", `image: decoded to ${info.channels} channels, not 3`);
  return { width: info.width, height: info.height, data: new Uint8Array(data.buffer, data.byteOffset, data.length) };
}

/** Ink to light by Pillow's libImaging/Convert.c `cmyk2rgb`, without a colour profile. */
async function decodeCmyk(opened: Sharp): Promise<Image> {
  const { data, info } = await opened
    .pipelineColourspace("cmyk")
    .toColourspace("cmyk")
    .raw()
    .toBuffer({ resolveWithObject: true }); // (height, width, 4)
  const rgb = new Uint8Array(info.width * info.height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    const light = 255 - data[from + 3]!;
    for (let channel = 0; channel < 3; channel++) {
      const product = data[from + channel]! * light + 128;
      rgb[to++] = Math.max(0, light - ((product + (product >> 8)) >> 8));
    }
  }
  return { width: info.width, height: info.height, data: rgb };
}

/** The EXIF orientation, or where there is none the one in XMP, as Pillow's `getexif`. */
function orientationOf(header: Metadata): number {
  if (header.orientation !== undefined) return header.orientation;
  const inXmp = header.xmpAsString?.match(/tiff:Orientation(?:="|>)([0-9])/);
  return inXmp ? Number(inXmp[1]) : 1;
}

function damaged(name: string, format: ImageFormat, error: unknown): StillmotionError {
  return new StillmotionError(
    "invalid-image",
    `image ${name}: this ${upperName(format)} is cut off or damaged (${firstLine(error)}), expected a complete file; ` +
      "download or export it again",
    { cause: error },
  );
}

/** The decoder's first line that says something. */
function firstLine(error: unknown): string {
  const lines = String((error as Error).message).split("\n");
  return (lines.find((line) => !line.includes("bad seek")) ?? lines[0]!).trim();
}

function upperName(format: ImageFormat): string {
  return format === "webp" ? "WebP" : format.toUpperCase();
}

function megapixels(pixels: number): string {
  return (pixels / 1e6).toFixed(pixels < 1e7 ? 2 : 1);
}
