/** Are numbers finite? By a sum where a run hands them on, by their bits where they are stored. */
import { bytesPerElement, type DataType } from "./tensor.ts";

/**
 * Whether no number is NaN or infinite: their sum is neither. Float64 holds the sum of any float32 numbers that fit in memory. Four
 * sums are as fast as memory, where one waits for each addition.
 */
export function areFinite(values: Float32Array): boolean {
  let [a, b, c, d] = [0, 0, 0, 0];
  const inFours = values.length - (values.length % 4);
  for (let i = 0; i < inFours; i += 4) {
    a += values[i]!;
    b += values[i + 1]!;
    c += values[i + 2]!;
    d += values[i + 3]!;
  }
  for (let i = inFours; i < values.length; i++) a += values[i]!;
  return Number.isFinite(a + b + c + d);
}

/** What lies in some numbers that are stored one after the other. */
export interface StoredLook {
  readonly count: number;
  readonly nan: number;
  readonly infinite: number;
  /** Which one is the first that is not finite. */
  readonly first: number | undefined;
  /** The bits of the largest magnitude, or of a NaN: 0 where all are 0. */
  readonly largestBits: number;
}

/** Magnitudes as whole numbers rise with the numbers, up to infinity, and NaN above it. */
interface Bits {
  readonly words: Uint8ArrayConstructor | Uint16ArrayConstructor | Uint32ArrayConstructor;
  /** All but the sign. */
  readonly magnitude: number;
  readonly infinity: number | undefined;
  readonly firstNotFinite: number;
}

const floatBits: Partial<Record<DataType, Bits>> = {
  float32: { words: Uint32Array, magnitude: 0x7fffffff, infinity: 0x7f800000, firstNotFinite: 0x7f800000 },
  float16: { words: Uint16Array, magnitude: 0x7fff, infinity: 0x7c00, firstNotFinite: 0x7c00 },
  bfloat16: { words: Uint16Array, magnitude: 0x7fff, infinity: 0x7f80, firstNotFinite: 0x7f80 },
  float8_e5m2: { words: Uint8Array, magnitude: 0x7f, infinity: 0x7c, firstNotFinite: 0x7c },
  float8_e4m3fn: { words: Uint8Array, magnitude: 0x7f, infinity: undefined, firstNotFinite: 0x7f },
};

/**
 * Looks at stored numbers. Whole numbers are all finite.
 *
 * @param bytes of whole numbers, aligned to their size in their buffer
 */
export function lookAtStored(dtype: DataType, { buffer, byteOffset, byteLength }: Uint8Array): StoredLook {
  const bits = floatBits[dtype];
  if (!bits)
    return { count: byteLength / bytesPerElement[dtype], nan: 0, infinite: 0, first: undefined, largestBits: 1 };
  const words = new bits.words(buffer as ArrayBuffer, byteOffset, byteLength / bits.words.BYTES_PER_ELEMENT);
  let largestBits = 0;
  for (let i = 0; i < words.length; i++) {
    const magnitude = words[i]! & bits.magnitude;
    if (magnitude > largestBits) largestBits = magnitude;
  }
  let [nan, infinite] = [0, 0];
  let first: number | undefined;
  const count = words.length;
  if (largestBits < bits.firstNotFinite) return { count, nan, infinite, first, largestBits };
  for (const [index, word] of words.entries()) {
    const magnitude = word & bits.magnitude;
    if (magnitude < bits.firstNotFinite) continue;
    first ??= index;
    if (magnitude === bits.infinity) infinite++;
    else nan++;
  }
  return { count, nan, infinite, first, largestBits };
}
