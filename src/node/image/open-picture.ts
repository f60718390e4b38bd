/** How does a picture file become pixels, and what is noticed on the way? It is read, identified, decoded and turned upright. */
import type { Metadata } from "sharp";
import { inCall, message, option, StillmotionError, throwIfAborted } from "../../errors.ts";
import { noBackground, parseBackground, putOver } from "../../image/background.ts";
import { putOnCanvas } from "../../image/canvas.ts";
import { colorTag } from "../../image/color-tag.ts";
import type { Image } from "../../image/image.ts";
import { orient } from "../../image/orientation.ts";
import type { ImageFormat } from "../../image/sniff.ts";
import { sniff } from "../../image/sniff.ts";
import { countFrames, type StillFile, stillFile } from "../../image/still-file.ts";
import { firstChannel, type StoredPixels, unpremultiplied } from "../../image/stored-pixels.ts";
import { decodePixels } from "./decode-pixels.ts";
import { importSharp, type Sharp } from "./import-sharp.ts";
import type { ImageSource, SourceBytes } from "./read-source.ts";
import { readSource } from "./read-source.ts";
import { type OtherColors, toSrgb } from "./to-srgb.ts";

export const colorProfiles = ["ignore", "srgb"] as const;

/**
 * What a picture's colour profile does.
 *
 * - `ignore`: nothing, values are as the file has them, as in the reference
 * - `srgb`: the picture is brought to sRGB by the file's colour profile, or its numbers for primaries and gamma
 * @useDeclaredType
 */
export type ColorProfile = (typeof colorProfiles)[number];

/** Options of `loadImage`. */
export interface LoadImageOptions {
  /** What a colour profile does. Default: `ignore`, as in the reference. */
  readonly colorProfile?: ColorProfile | undefined;
  /**
   * What transparent pixels are put over: `#rrggbb`, or a name such as `white`. Default `none`, as in the reference: alpha is
   * dropped, and the colours that it hides show.
   */
  readonly background?: string | undefined;
  /** Width times height that is decoded at most. Checked before decoding. */
  readonly maxPixels?: number | undefined;
  /** Bytes that are read or downloaded at most. */
  readonly maxBytes?: number | undefined;
  /** Milliseconds for a download as a whole. */
  readonly timeoutMs?: number | undefined;
  /** Ends reading with the error code `aborted`. */
  readonly signal?: AbortSignal | undefined;
}

/** What holds where {@link LoadImageOptions} say nothing: colours and hidden colours as the reference has them. */
export const loadImageDefaults = {
  colorProfile: "ignore",
  background: noBackground,
  maxPixels: 50e6,
  maxBytes: 50e6,
  timeoutMs: 30_000,
} as const satisfies LoadImageOptions;

function withoutUndefined<Options extends object>(
  options: Options,
): { [Name in keyof Options]: Exclude<Options[Name], undefined> } {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as { [Name in keyof Options]: Exclude<Options[Name], undefined> };
}

/** An image, and what a person may want to know of it. */
export interface Picture {
  readonly image: Image;
  /** For messages. */
  readonly name: string;
  /** The colour space that the file names, if it is not sRGB and was asked for. */
  readonly colors: OtherColors | undefined;
  /** The background, if it made another picture than dropping alpha would have made. */
  readonly putOver: string | undefined;
}

/** See `loadImage`. Here a profile that cannot be used is no error; it is told in `colors`. */
export async function openPicture(source: ImageSource, options: LoadImageOptions): Promise<Picture> {
  const { maxPixels, maxBytes, timeoutMs, signal, ...shown } = { ...loadImageDefaults, ...withoutUndefined(options) };
  checkLimits({ maxPixels, maxBytes, timeoutMs });
  const colorProfile = checkColorProfile(shown.colorProfile);
  const background = parseBackground(shown.background);

  const file = await readSource(source, { maxBytes, timeoutMs, signal });
  const { name } = file;
  const format = identify(file);
  throwIfAborted(signal);

  const sharp = await importSharp();
  try {
    const frames = countFrames(format, file.bytes);
    if (frames > 1) throw animated(name, format);
    const still = stillFile(format, file.bytes);
    const header = await sharp(still.bytes, { limitInputPixels: false }).metadata();
    checkHeader(name, format, { ...header, ...still.canvas }, maxPixels);
    const stored = await decode(sharp, still, header.space);
    throwIfAborted(signal);
    const tag = colorProfile === "srgb" ? await colorTag(format, file.bytes, header.icc) : undefined;
    const { data, colors } = await toSrgb(sharp, stored, tag);
    const isOther = background !== undefined && stored.alpha !== undefined && putOver(background, data, stored.alpha);
    const { width, height } = stored;
    const image = orient({ width, height, data }, format === "avif" ? 1 : orientationOf(header));
    return { image, name, colors, putOver: isOther ? options.background : undefined };
  } catch (error) {
    if (error instanceof StillmotionError) throw error;
    throw damaged(name, format, error);
  }
}

function checkLimits(limits: Record<string, number>): void {
  for (const [name, value] of Object.entries(limits)) {
    if (!(typeof value === "number" && value > 0)) {
      throw new StillmotionError(
        "invalid-option",
        message`${inCall("loadImage")}${option(name)} is ${value}, expected a number above 0`,
      );
    }
  }
}

function checkColorProfile(value: ColorProfile): ColorProfile {
  if (colorProfiles.includes(value)) return value;
  throw new StillmotionError(
    "invalid-option",
    message`${inCall("loadImage")}${option("colorProfile")} is ${JSON.stringify(value)}, expected one of ${colorProfiles.join(", ")}`,
  );
}

/** Only bytes with one of the five signatures reach libvips, so its loaders of SVG or PDF never run. */
function identify({ name, bytes }: SourceBytes): ImageFormat {
  const sniffed = sniff(bytes);
  if ("looksLike" in sniffed) {
    throw new StillmotionError(
      "invalid-image",
      `image ${name}: looks like ${sniffed.looksLike}, expected JPEG, PNG, WebP, AVIF or GIF; ` +
        "if it is a picture, save it as PNG or JPEG, else name another file",
    );
  }
  return sniffed.format;
}

function animated(name: string, format: ImageFormat): StillmotionError {
  return new StillmotionError(
    "invalid-image",
    `image ${name}: is an animated ${upperName(format)}, expected a still; save one frame of it as PNG`,
  );
}

function checkHeader(
  name: string,
  format: ImageFormat,
  header: Pick<Metadata, "format" | "width" | "height">,
  maxPixels: number,
): void {
  const decoder = header.format === "heif" ? "avif" : header.format;
  if (decoder !== format) {
    throw new StillmotionError(
      "invalid-image",
      `image ${name}: begins as ${upperName(format)} but reads as ${header.format}; save it again as PNG or JPEG`,
    );
  }
  if (header.width * header.height > maxPixels) {
    throw new StillmotionError(
      "invalid-image",
      message`image ${name}: has ${header.width}x${header.height} = ${megapixels(header.width * header.height)} megapixels, expected at most ${megapixels(maxPixels)}; shrink it, or raise ${option("maxPixels")}`,
    );
  }
}

/** The whole picture: the frame, and around it the canvas, if there is one. */
async function decode(sharp: Sharp, still: StillFile, space: string | undefined): Promise<StoredPixels> {
  const read = (bytes: Uint8Array) => {
    const opened = sharp(bytes, { limitInputPixels: false, ignoreIcc: true, failOn: "error" });
    return decodePixels(opened, space);
  };
  const pixels = await read(still.bytes);
  const opacity = still.opacity && firstChannel((await read(still.opacity)).data);
  const frame = { ...pixels, alpha: still.alpha === "ignored" ? undefined : (opacity ?? pixels.alpha) };
  if (still.alpha === "premultiplied") return unpremultiplied(frame);
  return still.canvas ? putOnCanvas(frame, still.canvas) : frame;
}

/** The EXIF orientation, or without one that in XMP, as in Pillow's `getexif`. */
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
