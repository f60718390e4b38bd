/**
 * How do 16 uniforms become 16 normals, bit for bit as in torch? Box-Muller in float32 with the logarithm, sine and
 * cosine of torch's AVX2 kernel, which differ from correctly rounded ones by up to 3 units in the last place.
 */

// torch 2.15 ATen/native/cpu/DistributionTemplates.h `normal_fill_16_AVX2` and avx_mathfun.h. The polynomials are
// those of Moshier's Cephes library (logf, sinf, cosf). The compiler fuses a product and the sum that uses it, so the
// places of `Math.fround` below follow the compiled kernel, not the source.
const fround = Math.fround;

const halfSqrt2 = fround(Math.SQRT1_2);
const log2High = fround(0.693359375);
const log2Low = fround(-2.1219444e-4);
const log0 = fround(7.0376836292e-2);
const log1 = fround(-1.151461031e-1);
const log2 = fround(1.167699874e-1);
const log3 = fround(-1.2420140846e-1);
const log4 = fround(1.4249322787e-1);
const log5 = fround(-1.6668057665e-1);
const log6 = fround(2.0000714765e-1);
const log7 = fround(-2.4999993993e-1);
const log8 = fround(3.3333331174e-1);

const twoPi = fround(2 * Math.PI);
const fourOverPi = fround(4 / Math.PI);
const quarterPi0 = 0.78515625;
const quarterPi1 = 2.4187564849853516e-4;
const quarterPi2 = fround(3.774894977445941e-8);
const sin0 = fround(-1.9515295891e-4);
const sin1 = fround(8.3321608736e-3);
const sin2 = fround(-1.6666654611e-1);
const cos0 = fround(2.443315711809948e-5);
const cos1 = fround(-1.388731625493765e-3);
const cos2 = fround(4.166664568298827e-2);

const floatBits = new Float32Array(1);
const floatBitsAsInt = new Int32Array(floatBits.buffer);

/** Replaces the 16 uniforms in [0, 1) at `start` by normals: the first 8 give radii, the last 8 angles. */
export function boxMuller16(values: Float32Array, start: number): void {
  for (let i = start; i < start + 8; i++) {
    const radius = fround(Math.sqrt(fround(-2 * logFloat32(fround(1 - values[i]!)))));
    const theta = fround(twoPi * values[i + 8]!);

    // theta = octant * pi/4 + rest
    const octant = (Math.trunc(fround(theta * fourOverPi)) + 1) & ~1;
    let rest = fround(theta - octant * quarterPi0);
    rest = fround(rest - octant * quarterPi1);
    rest = fround(rest - octant * quarterPi2);

    const z = fround(rest * rest);
    const cosPolynomial = fround(fround(fround(cos0 * z + cos1) * z + cos2) * z);
    const cosRest = fround(fround(cosPolynomial * z - fround(0.5 * z)) + 1);
    const sinPolynomial = fround(fround(fround(sin0 * z + sin1) * z + sin2) * z);
    const sinRest = fround(sinPolynomial * rest + rest);

    const swapped = (octant & 2) !== 0;
    const sin = swapped ? cosRest : sinRest;
    const cos = swapped ? sinRest : cosRest;
    values[i] = radius * ((octant + 2) & 4 ? -cos : cos);
    values[i + 8] = radius * (octant & 4 ? -sin : sin);
  }
}

/** Natural logarithm of a normal float32 in (0, 1]. */
function logFloat32(value: number): number {
  floatBits[0] = value;
  const bits = floatBitsAsInt[0]!;
  floatBitsAsInt[0] = (bits & 0x007fffff) | 0x3f000000; // mantissa in [0.5, 1)
  let exponent = (bits >> 23) - 126;
  let x = floatBits[0]!;
  if (x < halfSqrt2) {
    exponent -= 1;
    x = fround(fround(x - 1) + x);
  } else {
    x = fround(x - 1);
  }
  const z = fround(x * x);
  let y = fround(log0 * x + log1);
  y = fround(y * x + log2);
  y = fround(y * x + log3);
  y = fround(y * x + log4);
  y = fround(y * x + log5);
  y = fround(y * x + log6);
  y = fround(y * x + log7);
  y = fround(y * x + log8);
  y = fround(fround(y * x) * z + fround(exponent * log2Low));
  y = fround(y - 0.5 * z);
  return fround(exponent * log2High + fround(x + y));
}
