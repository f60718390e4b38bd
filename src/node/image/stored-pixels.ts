/** What values does a picture file hold? Decoded with sharp, 8 bits each, in the file's own colours and as it lies there. */
import type { Sharp } from "sharp";
import { StillmotionError } from "../../errors.ts";

export interface StoredPixels {
  readonly width: number;
  readonly height: number;
  readonly model: ColorModel;
  /** RGB, (height, width, 3), where grey is thrice the same; or ink, 0 for none, (height, width, 4). */
  readonly data: Uint8Array;
  /** 255 where the picture is opaque, (height, width); undefined where all of it is. */
  readonly alpha: Uint8Array | undefined;
}

export type ColorModel = "grey" | "rgb" | "cmyk";

/** @param space libvips' word for what the file holds */
export async function decodePixels(opened: Sharp, space: string | undefined): Promise<StoredPixels> {
  if (space === "cmyk") {
    const { data, info } = await raw(opened.pipelineColourspace("cmyk").toColourspace("cmyk"));
    return { width: info.width, height: info.height, model: "cmyk", data, alpha: undefined };
  }
  const { data, info } = await raw(opened.toColourspace("srgb"));
  const { width, height, channels } = info;
  const model = space === "b-w" || space === "grey16" ? "grey" : "rgb";
  if (channels === 3) return { width, height, model, data, alpha: undefined };
  if (channels === 4) return { width, height, model, ...withoutAlpha(data) };
  throw new StillmotionError("internal", `image: decoded to ${channels} channels, not 3 or 4`);
}

async function raw(picture: Sharp) {
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
  return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), info };
}

/** (pixels, 4) to (pixels, 3) and (pixels). */
function withoutAlpha(rgba: Uint8Array): { data: Uint8Array; alpha: Uint8Array } {
  const alpha = new Uint8Array(rgba.length / 4);
  const data = new Uint8Array(alpha.length * 3);
  for (let pixel = 0; pixel < alpha.length; pixel++) {
    data[pixel * 3] = rgba[pixel * 4]!;
    data[pixel * 3 + 1] = rgba[pixel * 4 + 1]!;
    data[pixel * 3 + 2] = rgba[pixel * 4 + 2]!;
    alpha[pixel] = rgba[pixel * 4 + 3]!;
  }
  return { data, alpha };
}

/** Colours that were multiplied with their alpha as they were before, as libavif's `avifRGBImageUnpremultiplyAlpha`. */
export function unpremultiplied({ data, alpha, ...rest }: StoredPixels): StoredPixels {
  if (!alpha) return { data, alpha, ...rest };
  const whole = data.map((value, i) => {
    const opacity = alpha[Math.floor(i / 3)]!;
    return opacity === 0 ? 0 : Math.min(255, Math.floor((value * 255) / opacity + 0.5));
  });
  return { ...rest, data: whole, alpha };
}

/** The first of three channels: (pixels, 3) to (pixels). */
export function firstChannel(rgb: Uint8Array): Uint8Array {
  const first = new Uint8Array(rgb.length / 3);
  for (let pixel = 0; pixel < first.length; pixel++) first[pixel] = rgb[pixel * 3]!;
  return first;
}

/** Ink to light by Pillow's libImaging/Convert.c `cmyk2rgb`, without a colour profile. (pixels, 4) to (pixels, 3). */
export function lightOfInk(cmyk: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((cmyk.length / 4) * 3);
  for (let from = 0, to = 0; from < cmyk.length; from += 4) {
    const light = 255 - cmyk[from + 3]!;
    for (let channel = 0; channel < 3; channel++) {
      rgb[to++] = Math.max(0, light - divideBy255(cmyk[from + channel]! * light));
    }
  }
  return rgb;
}

/** A product of two bytes as a byte again, rounded as Pillow's `MULDIV255`. */
export function divideBy255(product: number): number {
  const raised = product + 128;
  return (raised + (raised >> 8)) >> 8;
}
