/** Which numbers does a stored tensor stand for? All as float32, from whichever format it has. */
import { bfloat16ToFloat32, float16ToFloat32 } from "./half.ts";
import type { DataType, Tensor } from "./tensor.ts";

/**
 * How the 8-bit formats divide their bits after the sign (Micikevicius et al. 2022, "FP8 Formats for Deep Learning", table 1).
 * e4m3fn has no infinity, and one NaN of each sign; e5m2 is as IEEE 754 would have it.
 */
const float8Formats = {
  float8_e4m3fn: { exponentBits: 4, mantissaBits: 3, hasInfinity: false },
  float8_e5m2: { exponentBits: 5, mantissaBits: 2, hasInfinity: true },
} as const;

type Float8 = keyof typeof float8Formats;

/** What each of the 256 bytes is, once it was needed. */
const float8Values: Partial<Record<Float8, Float32Array>> = {};

function computeFloat8(format: Float8): Float32Array {
  const { exponentBits, mantissaBits, hasInfinity } = float8Formats[format];
  const bias = 2 ** (exponentBits - 1) - 1;
  const highest = 2 ** exponentBits - 1;
  return Float32Array.from({ length: 256 }, (_, bits) => {
    const sign = bits & 0x80 ? -1 : 1;
    const exponent = (bits & 0x7f) >> mantissaBits;
    const mantissa = bits & (2 ** mantissaBits - 1);
    const share = mantissa / 2 ** mantissaBits;
    if (exponent === highest && hasInfinity) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    if ((bits & 0x7f) === 0x7f) return Number.NaN;
    return sign * (exponent === 0 ? share * 2 ** (1 - bias) : (1 + share) * 2 ** (exponent - bias));
  });
}

function float8ToFloat32(format: Float8, bits: Uint8Array): Float32Array {
  float8Values[format] ??= computeFloat8(format);
  const values = float8Values[format];
  return Float32Array.from(bits, (byte) => values[byte]!);
}

/** The numbers of a tensor as float32, exact for floating-point formats. Those of a float32 tensor are its own data. */
export function floatsOf({ dtype, data }: { readonly dtype: DataType; readonly data: Tensor["data"] }): Float32Array {
  switch (dtype) {
    case "float32":
      return data as Float32Array;
    case "float16":
      return float16ToFloat32(data as Uint16Array);
    case "bfloat16":
      return bfloat16ToFloat32(data as Uint16Array);
    case "float8_e4m3fn":
    case "float8_e5m2":
      return float8ToFloat32(dtype, data as Uint8Array);
    default:
      return Float32Array.from<number | bigint>(data, Number);
  }
}
