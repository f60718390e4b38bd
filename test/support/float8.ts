/** How does a test store weights in fp8? To the nearest number, ties to even, as torch's `.to(torch.float8_e4m3fn)` does within the range. */
import { floatsOf } from "../../src/floats.ts";
import type { Tensor } from "../../src/tensor.ts";

export type Float8 = "float8_e4m3fn" | "float8_e5m2";

/** @param values within the format's range */
export function toFloat8(dtype: Float8, { shape, data }: Tensor): Tensor<Uint8Array> {
  // Positive bytes rise with their numbers.
  const numbers = floatsOf({ dtype, data: Uint8Array.from({ length: 0x7f }, (_, byte) => byte) });
  const count = numbers.findIndex((number) => !Number.isFinite(number));
  const finite = numbers.subarray(0, count < 0 ? undefined : count);
  const nearest = (magnitude: number) => {
    let [below, above] = [0, finite.length - 1];
    while (above - below > 1) {
      const middle = (below + above) >> 1;
      if (finite[middle]! <= magnitude) below = middle;
      else above = middle;
    }
    const [down, up] = [magnitude - finite[below]!, finite[above]! - magnitude];
    return down < up || (down === up && below % 2 === 0) ? below : above;
  };
  const bytes = Uint8Array.from(data as Float32Array, (value) => {
    return nearest(Math.abs(value)) | (value < 0 || Object.is(value, -0) ? 0x80 : 0);
  });
  return { dtype, shape, data: bytes };
}

export function fromFloat8(tensor: Tensor): Tensor<Float32Array> {
  return { dtype: "float32", shape: tensor.shape, data: floatsOf(tensor) };
}
