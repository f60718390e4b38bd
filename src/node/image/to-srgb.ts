/** How do values in another colour space become sRGB? By their profile, with lcms in libvips. Values in sRGB stay as they are. */
import { type ColorTag, hasTables, profileModel } from "../../image/icc-profile.ts";
import { type ProfiledPixels, profiledTiff } from "../../image/profiled-tiff.ts";
import { type ColorModel, firstChannel, lightOfInk, type StoredPixels } from "../../image/stored-pixels.ts";
import type { Sharp } from "./import-sharp.ts";

/** The colour space of a picture that is not in sRGB. */
export interface OtherColors {
  readonly name: string;
  /** Why the values were left as they are, to end a sentence; undefined where they were brought to sRGB. */
  readonly problem: string | undefined;
}

export interface SrgbPixels {
  /** (height, width, 3) */
  readonly data: Uint8Array;
  /** Undefined for a picture in sRGB. */
  readonly colors: OtherColors | undefined;
}

/** The picture in sRGB. Where the tag does not lead there, its values stay as they are. */
export async function toSrgb(sharp: Sharp, pixels: StoredPixels, tag: ColorTag | undefined): Promise<SrgbPixels> {
  const asStored = () => (pixels.model === "cmyk" ? lightOfInk(pixels.data) : pixels.data);
  if (!tag) return { data: asStored(), colors: undefined };
  const { name } = tag;
  try {
    if ("problem" in tag) throw new Error(tag.problem);
    const { icc } = tag;
    const source = profiledPixels(pixels, icc);
    if (await isSrgb(sharp, pixels.model, name, icc)) return { data: asStored(), colors: undefined };
    return { data: await convert(sharp, source, icc), colors: { name, problem: undefined } };
  } catch (error) {
    return { data: asStored(), colors: { name, problem: (error as Error).message } };
  }
}

/** The pixels with as many channels as the profile is for: grey may need one or three. */
function profiledPixels({ width, height, model, data }: StoredPixels, icc: Uint8Array): ProfiledPixels {
  const profile = profileModel(icc);
  if (profile === undefined) throw new Error("it is damaged, or for other values than grey, RGB or CMYK");
  if (model === "cmyk" && profile === "cmyk") return { width, height, channels: 4, data };
  if (model === "grey" && profile === "grey") return { width, height, channels: 1, data: firstChannel(data) };
  if (model !== "cmyk" && profile === "rgb") return { width, height, channels: 3, data };
  throw new Error(`it is for ${modelNames[profile]}, and the picture is ${modelNames[model]}`);
}

const modelNames = { grey: "grey", rgb: "RGB", cmyk: "CMYK" } as const;

/**
 * There are many profiles for sRGB, most of them with rounded numbers, which move no value by more than a rounding. A profile that
 * leads through tables (sRGB v4 ICC preference) also fits the colours to a print, so there the name decides.
 *
 * Grey stays grey in every RGB, so of a grey picture only the curve counts.
 */
async function isSrgb(sharp: Sharp, model: ColorModel, name: string, icc: Uint8Array): Promise<boolean> {
  if (model === "cmyk") return false;
  if (/\bsRGB\b/i.test(name) && hasTables(icc)) return true;
  const probe = probeOf(model);
  const converted = await convert(sharp, profiledPixels(probe, icc), icc);
  const rounding = 2;
  return converted.every((value, i) => Math.abs(value - probe.data[i]!) <= rounding);
}

/** All levels of grey, and for a picture in colour also all combinations of nine levels of red, green and blue. */
function probeOf(model: "grey" | "rgb"): StoredPixels {
  const greys = Array.from({ length: 256 }, (_, level) => [level, level, level]);
  const ninth = (n: number) => Math.min(255, (n % 9) * 32);
  const colors = Array.from({ length: 9 ** 3 }, (_, i) => [
    ninth(i),
    ninth(Math.floor(i / 9)),
    ninth(Math.floor(i / 81)),
  ]);
  const pixels = model === "grey" ? greys : [...greys, ...colors];
  return { width: pixels.length, height: 1, model, data: Uint8Array.from(pixels.flat()), alpha: undefined };
}

/** How many bytes are converted at a time, so that a large picture is not copied as a whole. */
const pieceBytes = 64e6;

/**
 * The pixels in sRGB, by the perceptual intent, which is libvips' own.
 *
 * @returns (pixels, 3)
 * @throws Error for a profile that lcms does not take
 */
async function convert(
  sharp: Sharp,
  { width, height, channels, data }: ProfiledPixels,
  icc: Uint8Array,
): Promise<Uint8Array> {
  const converted = new Uint8Array(width * height * 3);
  const rows = Math.max(1, Math.floor(pieceBytes / (width * channels)));
  for (let top = 0; top < height; top += rows) {
    const piece = data.subarray(top * width * channels, (top + rows) * width * channels);
    const file = profiledTiff({ width, height: piece.length / (width * channels), channels, data: piece }, icc);
    const opened = sharp(file, { limitInputPixels: false });
    let warning: string | undefined;
    opened.on("warning", (text: string) => {
      warning = text;
    });
    const rgb = await opened.toColourspace("srgb").raw().toBuffer();
    if (warning !== undefined) throw new Error(`it cannot be used (${warning})`);
    converted.set(rgb, top * width * 3);
  }
  return converted;
}
