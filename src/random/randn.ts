/** In which order are normals drawn? As `torch.randn` does on the CPU, so that a published seed gives the same noise. */
import { float32ToFloat16 } from "../half.ts";
import type { FloatTensor, Tensor } from "../tensor.ts";
import { elementCount } from "../tensor.ts";
import { boxMuller16 } from "./box-muller.ts";
import type { RandomGenerator } from "./generator.ts";

/**
 * Standard normal noise equal to `torch.randn(shape, generator=generator, dtype=dtype)` on the CPU.
 *
 * The generator's bits are torch's; 16 values and more are also bit-equal to torch's AVX2 kernel, fewer within one unit
 * in the last place. Which path torch takes depends on the number of values, so drawing 8 twice is not drawing 16.
 *
 * @param shape any sizes; values are drawn in row-major order
 * @param dtype `float16` draws other numbers than `float32` when the count is not a multiple of 16, as in torch
 * @source torch 2.15 ATen/native/cpu/DistributionTemplates.h `normal_kernel`
 */
export function randn(generator: RandomGenerator, shape: readonly number[], dtype: "float32"): FloatTensor;
export function randn(generator: RandomGenerator, shape: readonly number[], dtype: "float16"): Tensor<Uint16Array>;
export function randn(
  generator: RandomGenerator,
  shape: readonly number[],
  dtype: "float32" | "float16",
): FloatTensor | Tensor<Uint16Array>;
export function randn(
  generator: RandomGenerator,
  shape: readonly number[],
  dtype: "float32" | "float16",
): FloatTensor | Tensor<Uint16Array> {
  const values = new Float32Array(elementCount(shape));
  if (values.length < 16) fillInPairs(generator, values);
  else if (dtype === "float32") fillAtOnce(generator, values);
  else fillInBlocks(generator, values);
  return dtype === "float32"
    ? { dtype, shape: [...shape], data: values }
    : { dtype, shape: [...shape], data: float32ToFloat16(values) };
}

/** Fewer than 16 values: Box-Muller in double precision, two at a time. The second of a pair waits for the next draw. */
function fillInPairs(generator: RandomGenerator, values: Float32Array): void {
  for (let i = 0; i < values.length; i++) {
    if (generator.waitingNormal !== undefined) {
      values[i] = generator.waitingNormal;
      generator.waitingNormal = undefined;
      continue;
    }
    const theta = 2 * Math.PI * uniform53(generator);
    const radius = Math.sqrt(-2 * Math.log1p(-uniform53(generator)));
    values[i] = radius * Math.cos(theta);
    generator.waitingNormal = radius * Math.sin(theta);
  }
}

/** float32: uniforms for all values first. If the last 16 are no block of their own, they are all drawn again. */
function fillAtOnce(generator: RandomGenerator, values: Float32Array): void {
  const { length } = values;
  fillUniform(generator, values, 0, length);
  for (let start = 0; start + 16 <= length; start += 16) boxMuller16(values, start);
  if (length % 16 !== 0) {
    fillUniform(generator, values, length - 16, length);
    boxMuller16(values, length - 16);
  }
}

/** float16: block after block, in float32. The last 16 values are a block of their own, even where they overlap another. */
function fillInBlocks(generator: RandomGenerator, values: Float32Array): void {
  for (let position = 0; position < values.length; position += 16) {
    const start = Math.min(position, values.length - 16);
    fillUniform(generator, values, start, start + 16);
    boxMuller16(values, start);
  }
}

function fillUniform({ nextUint32 }: RandomGenerator, values: Float32Array, start: number, end: number): void {
  for (let i = start; i < end; i++) values[i] = (nextUint32() & 0xffffff) / 0x1000000;
}

/** Uniform in [0, 1) with 53 bits, the first draw giving the upper ones. */
function uniform53({ nextUint32 }: RandomGenerator): number {
  const high = nextUint32() & 0x1fffff;
  return (high * 0x100000000 + nextUint32()) / 0x20000000000000;
}
