/** How are convolutions written: over the pixels of a frame, and over the frames of a clip? */
import type { Padding, Value } from "../lowering/lowering.ts";
import type { Weights } from "../weights/view.ts";
import type { Bias } from "./linear.ts";

/** A square 2-D convolution of a feature map, 3 x 3 and keeping the map's size by default. */
export function conv2d(
  w: Weights,
  x: Value,
  outputs: number,
  options: { kernel?: number; stride?: number; padding?: Padding; bias?: Bias } = {},
): Value {
  const { kernel = 3, stride = 1, bias = "with bias" } = options;
  const edge = Math.floor(kernel / 2);
  const { padding = [edge, edge, edge, edge] } = options;
  const weight = w.tensor("weight", [outputs, x.shape.at(-1)!, kernel, kernel]);
  const offset = bias === "with bias" ? w.tensor("bias", [outputs]) : undefined;
  return x.lowering.conv2d(x, weight, offset, { stride, padding });
}

/**
 * A (3, 1, 1) convolution: each pixel over the frames before, at and after it, zero padded at both ends.
 * A `gain`, one number, multiplies the result.
 */
export function temporalConv(w: Weights, x: Value, outputs: number, gain?: Value): Value {
  const weight = w.tensor("weight", [outputs, x.shape.at(-1)!, 3, 1, 1]);
  return x.lowering.temporalConv(x, weight, w.tensor("bias", [outputs]), gain);
}

/** Halves height and width, rounding up. The VAE pads below and right only, the UNet on every side. */
export function downsample(w: Weights, x: Value, padding: Padding): Value {
  const [, height, width, channels] = x.shape as [number, number, number, number];
  const [halved] = x.lowering.itemByItem([x], height * width * channels, ([each]) => [
    conv2d(w.at("conv"), each!, channels, { stride: 2, padding }),
  ]);
  return halved!;
}

/** Doubles height and width, or brings them to the size given, then convolves. */
export function upsample(w: Weights, x: Value, height = 2 * x.shape[1]!, width = 2 * x.shape[2]!): Value {
  const channels = x.shape[3]!;
  const weight = w.tensor("conv.weight", [channels, channels, 3, 3]);
  const bias = w.tensor("conv.bias", [channels]);
  const [doubled] = x.lowering.itemByItem([x], height * width * channels, ([each]) => [
    x.lowering.upsampleConv2d(each!, weight, bias, { height, width }),
  ]);
  return doubled!;
}
