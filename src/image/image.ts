/** What is a picture in memory? 8-bit RGB, rows from the top, as every part of stillmotion takes and gives it. */
import { StillmotionError } from "../errors.ts";

/** A still picture: 8 bits a channel, no alpha, no colour profile, already upright. */
export interface Image {
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  /** RGB interleaved, (height, width, 3) in row-major order. */
  readonly data: Uint8Array;
}

/**
 * An image over RGB bytes that the caller already has, e.g. from a canvas or another decoder.
 *
 * @param data (height, width, 3), not copied
 * @throws StillmotionError `invalid-image` when the bytes do not fill the size
 */
export function createImage(width: number, height: number, data: Uint8Array): Image {
  const image = { width, height, data };
  checkImage(image);
  return image;
}

/** Throws `invalid-image` unless the value is an Image whose bytes fill its size. */
export function checkImage(image: Image): void {
  if (typeof image !== "object" || image === null) {
    throw new StillmotionError(
      "invalid-image",
      `image: got ${image === null ? "null" : typeof image}, expected an image; use loadImage to read a picture`,
    );
  }
  const { width, height, data } = image;
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    throw new StillmotionError(
      "invalid-image",
      `image: got size ${width}x${height}, expected whole numbers of at least 1; use loadImage to read a picture`,
    );
  }
  if (
    !(data instanceof Uint8Array || (data as unknown) instanceof Uint8ClampedArray) ||
    data.length !== width * height * 3
  ) {
    throw new StillmotionError(
      "invalid-image",
      `image: got ${describeData(data)}, expected a Uint8Array of ${width}x${height}x3 = ${width * height * 3} bytes ` +
        "(RGB, no alpha); use loadImage to read a picture",
    );
  }
}

function describeData(data: unknown): string {
  if (ArrayBuffer.isView(data)) return `a ${data.constructor.name} of ${data.byteLength} bytes`;
  return data === null ? "null" : typeof data;
}
