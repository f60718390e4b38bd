/** What is seen through a transparent picture? A colour behind it, or, without one, the colours that its pixels hide. */
import { inCall, message, option, StillmotionError } from "../errors.ts";
import { divideBy255 } from "./stored-pixels.ts";

/** Red, green and blue, 0 to 255. */
export type Rgb = readonly [number, number, number];

const names: Readonly<Record<string, string>> = {
  white: "#ffffff",
  black: "#000000",
  grey: "#808080",
  gray: "#808080",
  red: "#ff0000",
  green: "#008000",
  blue: "#0000ff",
};

/** The word for no background: alpha is dropped. */
export const noBackground = "none";

/** The accepted values, for help and messages. */
export const backgroundWords = `#rrggbb, #rgb, ${Object.keys(names).join(", ")} or ${noBackground}`;

/**
 * @param text a colour as in CSS; `none` gives undefined
 * @throws StillmotionError `invalid-option` for anything else
 */
export function parseBackground(text: string): Rgb | undefined {
  const word = typeof text === "string" ? text.trim().toLowerCase() : "";
  if (word === noBackground) return undefined;
  const hex = (Object.hasOwn(names, word) ? names[word]! : word).replace(/^#(.)(.)(.)$/, "#$1$1$2$2$3$3");
  const digits = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/.exec(hex);
  if (!digits) {
    throw new StillmotionError(
      "invalid-option",
      message`${inCall("loadImage")}${option("background")} is ${JSON.stringify(text) ?? String(text)}, expected ${backgroundWords}`,
    );
  }
  const [red, green, blue] = digits.slice(1).map((pair) => Number.parseInt(pair, 16));
  return [red!, green!, blue!];
}

/**
 * The picture over an opaque colour, byte for byte as Pillow's `Image.alpha_composite`.
 *
 * @param data (pixels, 3); changed in place
 * @param alpha (pixels)
 * @returns whether a pixel changed, so that the picture is not the one with its alpha dropped
 * @source Pillow 13 libImaging/AlphaComposite.c
 */
export function putOver([red, green, blue]: Rgb, data: Uint8Array, alpha: Uint8Array): boolean {
  let changed = 0;
  const blend = (at: number, behind: number, opacity: number) => {
    const value = divideBy255(data[at]! * opacity + behind * (255 - opacity));
    changed |= value ^ data[at]!;
    data[at] = value;
  };
  for (let pixel = 0, at = 0; pixel < alpha.length; pixel++, at += 3) {
    const opacity = alpha[pixel]!;
    if (opacity === 255) continue;
    blend(at, red, opacity);
    blend(at + 1, green, opacity);
    blend(at + 2, blue, opacity);
  }
  return changed !== 0;
}
