/**
 * How do 16-bit floats become float32 and back? Bits in a Uint16Array, as checkpoints store them.
 *
 * To 16 bits: to nearest, ties to even, as torch and IEEE 754 round; NaN stays NaN.
 */

const singleBits = new Float32Array(1);
const singleBitsAsInt = new Uint32Array(singleBits.buffer);

/** The bits of the float16 nearest to a float32; beyond 65504 it becomes infinity. */
function toFloat16Bits(value: number): number {
  singleBits[0] = value;
  const bits = singleBitsAsInt[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above
  if (magnitude < 0x38800000) {
    // Below 2^-14 the step is 2^-24: adding 0.5 in float32 leaves the rounded multiple in the low bits.
    singleBits[0] = Math.abs(value) + 0.5;
    return sign | (singleBitsAsInt[0]! - 0x3f000000);
  }
  const odd = (magnitude >>> 13) & 1;
  return sign | ((magnitude + 0xfff + odd - 0x38000000) >>> 13);
}

/** float16 bits to float32. Exact. */
export function float16ToFloat32(bits: Uint16Array, output = new Float32Array(bits.length)): Float32Array {
  if (bits.length < float16Count) return computeFloat32(bits, output);
  // Looked up where there are many: 1.1 against 2.6 ns each.
  float16Values ??= computeFloat32(
    Uint16Array.from({ length: float16Count }, (_, half) => half),
    new Float32Array(float16Count),
  );
  for (let i = 0; i < bits.length; i++) output[i] = float16Values[bits[i]!]!;
  return output;
}

/** How many float16 numbers there are, and the float32 of each once it was needed. */
const float16Count = 65536;
let float16Values: Float32Array | undefined;

function computeFloat32(bits: Uint16Array, output: Float32Array): Float32Array {
  const outputBits = new Uint32Array(output.buffer, output.byteOffset, output.length);
  for (let i = 0; i < bits.length; i++) {
    const half = bits[i]!;
    const magnitude = half & 0x7fff;
    if (magnitude >= 0x7c00) {
      outputBits[i] = ((half & 0x8000) << 16) | 0x7f800000 | ((half & 0x3ff) << 13); // infinity or NaN
    } else {
      // The exponent field moves as it is; 2^112 = 2^(127 - 15) corrects its bias and makes subnormals come out right.
      outputBits[i] = ((half & 0x8000) << 16) | (magnitude << 13);
      output[i]! *= 2 ** 112;
    }
  }
  return output;
}

/** float32 to float16 bits. Beyond 65504 (from 65520 on) the result is infinity. */
export function float32ToFloat16(values: Float32Array, output = new Uint16Array(values.length)): Uint16Array {
  for (let i = 0; i < values.length; i++) output[i] = toFloat16Bits(values[i]!);
  return output;
}

/** bfloat16 bits to float32. Exact. */
export function bfloat16ToFloat32(bits: Uint16Array, output = new Float32Array(bits.length)): Float32Array {
  const outputBits = new Uint32Array(output.buffer, output.byteOffset, output.length);
  for (let i = 0; i < bits.length; i++) outputBits[i] = bits[i]! << 16;
  return output;
}

/** float32 to bfloat16 bits. */
export function float32ToBfloat16(values: Float32Array, output = new Uint16Array(values.length)): Uint16Array {
  const valueBits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < values.length; i++) {
    const bits = valueBits[i]!;
    const isNaNBits = (bits & 0x7fffffff) > 0x7f800000;
    // The highest dropped bit is worth half; adding just less than it, or it when the last kept bit is odd, ties to even.
    output[i] = isNaNBits ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
  return output;
}
