/** What values does a picture file hold, and how do they become RGB? 8 bits each, in the file's own colours and as it lies there. */

export interface StoredPixels {
  readonly width: number;
  readonly height: number;
  readonly model: ColorModel;
  /** RGB, (height, width, 3), in which grey has three equal values; or ink, with 0 for none, (height, width, 4). */
  readonly data: Uint8Array;
  /** 255 where the picture is opaque, (height, width); undefined where all of it is. */
  readonly alpha: Uint8Array | undefined;
}

export type ColorModel = "grey" | "rgb" | "cmyk";

/** (pixels, 4) to (pixels, 3) and (pixels). */
export function withoutAlpha(rgba: Uint8Array): { data: Uint8Array; alpha: Uint8Array } {
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

/** Divides colours that are stored multiplied by their alpha, as libavif's `avifRGBImageUnpremultiplyAlpha` does. */
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

/** Ink to light, without a colour profile, by Pillow's libImaging/Convert.c `cmyk2rgb`: (pixels, 4) to (pixels, 3). */
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

/** A product of two bytes brought back to a byte, rounded as by Pillow's `MULDIV255`. */
export function divideBy255(product: number): number {
  const raised = product + 128;
  return (raised + (raised >> 8)) >> 8;
}
