/** How is an image brought to another size? Byte for byte as Pillow's `Image.resize` does it. */
import { inCall, message, option, StillmotionError } from "../errors.ts";
import type { Image } from "./image.ts";
import { checkImage } from "./image.ts";
import type { ResizeFilter } from "./resize-filters.ts";
import { kernels, resizeFilters } from "./resize-filters.ts";

/**
 * A rectangle in pixels of the source, from its upper left corner, the right and lower edge excluded. Edges may lie between
 * pixels.
 */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Options of {@link resizeImage}. */
export interface ResizeOptions {
  /** Pixels, at least 1. */
  readonly width: number;
  /** Pixels, at least 1. */
  readonly height: number;
  /** Default `bicubic`, as in Pillow. */
  readonly filter?: ResizeFilter | undefined;
  /** The part of the image to scale; default all of it. */
  readonly box?: Box | undefined;
}

/**
 * The image at another size, equal byte for byte to Pillow's `image.resize((width, height), filter, box)`.
 * When shrinking, every source pixel counts (the filter widens with the scale).
 *
 * @throws StillmotionError `invalid-option` for a size, filter or box that does not fit
 * @example
 * const wide = resizeImage(image, { width: 1024, height: 576 });
 * @source Pillow libImaging/Resample.c `ImagingResample`; nearest: Geometry.c `ImagingScaleAffine`
 */
export function resizeImage(image: Image, options: ResizeOptions): Image {
  checkImage(image);
  const { width, height, filter = "bicubic" } = options;
  const box = toFloat32(options.box ?? { left: 0, top: 0, right: image.width, bottom: image.height });
  checkOptions(image, width, height, filter, box);

  if (box.right - box.left === width && box.bottom - box.top === height && isWhole(box)) return crop(image, box);
  if (filter === "nearest") return resizeNearest(image, width, height, box);

  const columns = resampling(kernels[filter], image.width, box.left, box.right, width);
  const rows = resampling(kernels[filter], image.height, box.top, box.bottom, height);
  const needsColumns = width !== image.width || box.left !== 0 || box.right !== width;
  const needsRows = height !== image.height || box.top !== 0 || box.bottom !== height;
  if (!needsRows) return { width, height, data: resampleColumns(image.data, image.width, 0, height, columns) };
  if (!needsColumns) return { width, height, data: resampleRows(image.data, width * 3, 0, rows) };

  // Values are rounded to bytes in between, so the order shows. This is Pillow 13's rule; Pillow 12 always resizes widths first.
  if (height < image.height && image.height - height > 2 * (image.width - width)) {
    const flat = resampleRows(image.data, image.width * 3, 0, rows); // (height, image.width, 3)
    return { width, height, data: resampleColumns(flat, image.width, 0, height, columns) };
  }
  const firstRow = rows.starts[0]!;
  const endRow = rows.starts[height - 1]! + rows.counts[height - 1]!;
  const narrow = resampleColumns(image.data, image.width, firstRow, endRow, columns); // (endRow - firstRow, width, 3)
  return { width, height, data: resampleRows(narrow, width * 3, firstRow, rows) };
}

/** For each output position along one axis: the source positions that count, and their weights in fixed point. */
interface Resampling {
  readonly length: number;
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** (output position, stride), the first `counts` of each row in use. */
  readonly weights: Int32Array;
  readonly stride: number;
}

// A sum needs 8 bits for the value, and 2 for the overshoot that negative weights cause.
const weightBits = 32 - 8 - 2;
const half = 1 << (weightBits - 1);

function resampling(
  kernel: { support: number; weight: (x: number) => number },
  sourceLength: number,
  from: number,
  to: number,
  length: number,
): Resampling {
  const scale = Math.fround(to - from) / length;
  const filterScale = Math.max(scale, 1);
  const support = kernel.support * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(length);
  const counts = new Int32Array(length);
  const weights = new Int32Array(length * stride);
  const exact = new Float64Array(stride);
  for (let i = 0; i < length; i++) {
    const center = from + (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(sourceLength, Math.trunc(center + support + 0.5)) - start;
    let sum = 0;
    for (let k = 0; k < count; k++) {
      exact[k] = kernel.weight((k + start - center + 0.5) * (1 / filterScale));
      sum += exact[k]!;
    }
    for (let k = 0; k < count; k++) {
      const weight = (sum === 0 ? exact[k]! : exact[k]! / sum) * (1 << weightBits);
      weights[i * stride + k] = Math.trunc(weight + (weight < 0 ? -0.5 : 0.5));
    }
    starts[i] = start;
    counts[i] = count;
  }
  return { length, starts, counts, weights, stride };
}

/** (rows, sourceWidth, 3) to (endRow - firstRow, columns.length, 3). */
function resampleColumns(
  source: Uint8Array,
  sourceWidth: number,
  firstRow: number,
  endRow: number,
  columns: Resampling,
): Uint8Array {
  const { length, starts, counts, weights, stride } = columns;
  const target = new Uint8ClampedArray((endRow - firstRow) * length * 3);
  let at = 0;
  for (let y = firstRow; y < endRow; y++) {
    for (let x = 0; x < length; x++) {
      let red = half;
      let green = half;
      let blue = half;
      let pixel = (y * sourceWidth + starts[x]!) * 3;
      const end = x * stride + counts[x]!;
      for (let k = x * stride; k < end; k++) {
        const weight = weights[k]!;
        red = (red + Math.imul(source[pixel]!, weight)) | 0;
        green = (green + Math.imul(source[pixel + 1]!, weight)) | 0;
        blue = (blue + Math.imul(source[pixel + 2]!, weight)) | 0;
        pixel += 3;
      }
      target[at] = red >> weightBits;
      target[at + 1] = green >> weightBits;
      target[at + 2] = blue >> weightBits;
      at += 3;
    }
  }
  return new Uint8Array(target.buffer);
}

/** (rows from firstRow, rowBytes) to (rows.length, rowBytes). */
function resampleRows(source: Uint8Array, rowBytes: number, firstRow: number, rows: Resampling): Uint8Array {
  const { length, starts, counts, weights, stride } = rows;
  const target = new Uint8ClampedArray(length * rowBytes);
  const sums = new Int32Array(rowBytes);
  for (let y = 0; y < length; y++) {
    sums.fill(half);
    for (let k = 0; k < counts[y]!; k++) {
      const weight = weights[y * stride + k]!;
      const row = (starts[y]! - firstRow + k) * rowBytes;
      for (let i = 0; i < rowBytes; i++) sums[i] = sums[i]! + Math.imul(source[row + i]!, weight);
    }
    const row = y * rowBytes;
    for (let i = 0; i < rowBytes; i++) target[row + i] = sums[i]! >> weightBits;
  }
  return new Uint8Array(target.buffer);
}

function resizeNearest(image: Image, width: number, height: number, box: Box): Image {
  const columns = nearestPositions(box.left, box.right, width);
  const rows = nearestPositions(box.top, box.bottom, height);
  const data = new Uint8Array(width * height * 3);
  let at = 0;
  for (const y of rows) {
    for (const x of columns) {
      const from = (y * image.width + x) * 3;
      data[at++] = image.data[from]!;
      data[at++] = image.data[from + 1]!;
      data[at++] = image.data[from + 2]!;
    }
  }
  return { width, height, data };
}

/** The source position of each output position, summed step by step as Pillow does: products would round differently. */
function nearestPositions(from: number, to: number, length: number): Int32Array {
  const step = Math.fround(to - from) / length;
  let position = from + step * 0.5;
  return Int32Array.from({ length }, () => {
    const whole = Math.trunc(position);
    position += step;
    return whole;
  });
}

function crop(image: Image, { left, top, right, bottom }: Box): Image {
  const width = right - left;
  const data = new Uint8Array(width * (bottom - top) * 3);
  for (let y = top; y < bottom; y++) {
    const from = (y * image.width + left) * 3;
    data.set(image.data.subarray(from, from + width * 3), (y - top) * width * 3);
  }
  return { width, height: bottom - top, data };
}

/** Pillow keeps a box in single precision. */
function toFloat32({ left, top, right, bottom }: Box): Box {
  return { left: Math.fround(left), top: Math.fround(top), right: Math.fround(right), bottom: Math.fround(bottom) };
}

function isWhole({ left, top, right, bottom }: Box): boolean {
  return [left, top, right, bottom].every(Number.isInteger);
}

function checkOptions(image: Image, width: number, height: number, filter: string, box: Box): void {
  for (const [name, value] of Object.entries({ width, height })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new StillmotionError(
        "invalid-option",
        message`${inCall("resizeImage")}${option(name)} is ${value}, expected a whole number from 1 up`,
      );
    }
  }
  if (!(resizeFilters as readonly string[]).includes(filter)) {
    throw new StillmotionError(
      "invalid-option",
      message`${inCall("resizeImage")}${option("filter")} is ${JSON.stringify(filter)}, expected one of ${resizeFilters.join(", ")}`,
    );
  }
  const { left, top, right, bottom } = box;
  if (!(left >= 0 && top >= 0 && right <= image.width && bottom <= image.height && left < right && top < bottom)) {
    const got = message`${inCall("resizeImage")}${option("box")} is (${left}, ${top}, ${right}, ${bottom})`;
    const expected = `a part of the ${image.width}x${image.height} image with left < right and top < bottom`;
    throw new StillmotionError("invalid-option", message`${got}, expected ${expected}`);
  }
}
