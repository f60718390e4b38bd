/** What happens to a picture whose shape is not the clip's? It is stretched, cropped or padded. */
import { inCall, message, option, StillmotionError } from "../errors.ts";
import type { Image } from "./image.ts";
import type { Box } from "./resize.ts";
import { resizeImage } from "./resize.ts";
import type { ResizeFilter } from "./resize-filters.ts";

export const fits = ["stretch", "crop", "pad"] as const;

/**
 * How a picture of another shape fills a size.
 *
 * - `stretch`: it is scaled as it is, as the reference pipeline does
 * - `crop`: its largest centred part with the size's shape is scaled
 * - `pad`: it is scaled as a whole, centred on black
 * @useDeclaredType
 */
export type Fit = (typeof fits)[number];

/** Options of {@link fitImage}. */
export interface FitOptions {
  /** Pixels, at least 1. */
  readonly width: number;
  /** Pixels, at least 1. */
  readonly height: number;
  readonly fit: Fit;
  /** Default `lanczos`, as the pipeline's own resize. */
  readonly filter?: ResizeFilter | undefined;
}

/**
 * The image at exactly the size asked for, byte for byte as Pillow's `Image.resize` (stretch), `ImageOps.fit` (crop) and
 * `ImageOps.pad` (pad, black) with the same filter.
 *
 * @throws StillmotionError `invalid-option` for a size below 1, an unknown fit or filter
 * @example
 * const wide = fitImage(portrait, { width: 1024, height: 576, fit: "crop" });
 */
export function fitImage(image: Image, { width, height, fit, filter = "lanczos" }: FitOptions): Image {
  if (!fits.includes(fit)) {
    throw new StillmotionError(
      "invalid-option",
      message`${inCall("fitImage")}${option("fit")} is ${JSON.stringify(fit)}, expected one of ${fits.join(", ")}`,
    );
  }
  if (fit === "pad") return pad(image, width, height, filter);
  const box = fit === "crop" ? centredBox(image, width / height) : undefined;
  return resizeImage(image, { width, height, filter, box });
}

/** How far the shapes differ: 0 for the same aspect ratio, 0.01 when one is 1 % wider than the other. */
export function aspectDifference(
  image: Pick<Image, "width" | "height">,
  target: Pick<Image, "width" | "height">,
): number {
  const ratio = (image.width * target.height) / (image.height * target.width);
  return Math.max(ratio, 1 / ratio) - 1;
}

/** The largest part of the given aspect ratio; its edges may lie between pixels. */
function centredBox({ width, height }: Image, aspect: number): Box {
  const wider = width / height >= aspect;
  const boxWidth = wider ? Math.min(width, aspect * height) : width;
  const boxHeight = wider ? height : Math.min(height, width / aspect);
  const left = (width - boxWidth) / 2;
  const top = (height - boxHeight) / 2;
  return { left, top, right: left + boxWidth, bottom: top + boxHeight };
}

function pad(image: Image, width: number, height: number, filter: ResizeFilter): Image {
  const wider = image.width / image.height > width / height;
  const whole = resizeImage(image, {
    width: wider ? width : Math.max(1, Math.min(width, roundHalfEven((image.width / image.height) * height))),
    height: wider ? Math.max(1, Math.min(height, roundHalfEven((image.height / image.width) * width))) : height,
    filter,
  });
  const left = roundHalfEven((width - whole.width) / 2);
  const top = roundHalfEven((height - whole.height) / 2);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < whole.height; y++) {
    const row = whole.data.subarray(y * whole.width * 3, (y + 1) * whole.width * 3);
    data.set(row, ((top + y) * width + left) * 3);
  }
  return { width, height, data };
}

/** Python's `round`. */
function roundHalfEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down;
}
