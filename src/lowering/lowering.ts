/** What may a layer ask for, without knowing the device? The meaning of each operation; a lowering decides how it is done. */
import type { Graph } from "../onnx/graph.ts";
import type { Weight } from "../weights/view.ts";

/**
 * A value as layers see it, always channels last:
 * a feature map (frames, height, width, channels), tokens (batch, tokens, channels) or rows (rows, channels).
 * How it is stored is the lowering's affair.
 */
export interface Value {
  readonly lowering: Lowering;
  readonly shape: readonly number[];
}

export type Activation = "silu" | "gelu" | "quick_gelu";

/** Of each channel group of each frame: (frames, groups) both. */
interface GroupStatistics {
  readonly mean: Value;
  readonly variance: Value;
}

/** What a group norm over the clip needs to know where it sees only some of the frames. */
interface ClipStatistics {
  /** (1, groups). */
  readonly mean: Value;
  /** 1 / sqrt(variance + eps): (1, groups). */
  readonly inverseDeviation: Value;
  /** (frames, 1): 1 for a frame of the clip, 0 for one beyond its ends, which becomes 0. */
  readonly presence: Value;
}

/** Top, left, bottom, right. */
export type Padding = readonly [number, number, number, number];

/** One way of running the network: which operators, in which layout and precision. */
export interface Lowering {
  input(name: string, shape: readonly number[]): Value;
  output(name: string, value: Value): void;
  /** A feature map that the caller passes as (frames, channels, height, width), as latents travel outside a graph. */
  inputPlanes(name: string, shape: readonly number[]): Value;
  /** A feature map that the caller receives as (frames, channels, height, width). */
  outputPlanes(name: string, value: Value): void;
  constant(shape: readonly number[], data: Float32Array): Value;
  /** A stored tensor as a value of its own, such as a position embedding. */
  parameter(weight: Weight): Value;

  add(a: Value, b: Value): Value;
  multiply(a: Value, b: Value): Value;
  activation(x: Value, kind: Activation): Value;
  /** `share * a + (1 - share) * b`. */
  blend(a: Value, b: Value, share: Value): Value;
  /** 1 / (1 + exp(-x)). */
  sigmoid(x: Value): Value;
  /** (rows, 1) -> (rows, 2 * frequencies): the cosines, then the sines, of x times each frequency. */
  sinusoids(x: Value, frequencies: Float32Array): Value;

  /** Over the last axis; weight (out, in). */
  linear(x: Value, weight: Weight, bias: Weight | undefined): Value;
  /** Weight (out, in, kernel height, kernel width). */
  conv2d(x: Value, weight: Weight, bias: Weight | undefined, options: { stride: number; padding: Padding }): Value;
  /**
   * Over the frames of a feature map, three taps, zero padded; weight (out, in, 3, 1, 1).
   * A `gain` (one element) multiplies the result.
   */
  temporalConv(x: Value, weight: Weight, bias: Weight, gain?: Value): Value;
  /** The same without padding, where x has the frames before and after: (frames + 2, ...) -> (frames, ...). */
  temporalConvUnpadded(x: Value, weight: Weight, bias: Weight, gain?: Value): Value;
  /**
   * Statistics over each channel group of a frame, or of the whole clip.
   * x is a feature map, or tokens with one frame an item.
   */
  groupNorm(
    x: Value,
    weight: Weight,
    bias: Weight,
    options: { groups: number; eps: number; over: "frame" | "clip"; activation?: Activation },
  ): Value;
  groupStatistics(x: Value, groups: number): GroupStatistics;
  /** Group norm of a feature map by statistics of the whole clip. */
  groupNormByStatistics(
    x: Value,
    weight: Weight,
    bias: Weight,
    statistics: ClipStatistics,
    options: { groups: number; activation?: Activation },
  ): Value;
  layerNorm(x: Value, weight: Weight, bias: Weight, eps: number): Value;
  /** Scaled dot-product attention within each item of (batch, tokens, heads * head size). */
  attention(q: Value, k: Value, v: Value, heads: number): Value;
  /** The same among the items, at each token by itself: (items, tokens, heads * head size). */
  attentionAcrossItems(q: Value, k: Value, v: Value, heads: number): Value;

  /** Row-major over the channels-last shape. */
  reshape(x: Value, shape: readonly number[]): Value;
  concat(values: readonly Value[], axis: number): Value;
  /** The first item, `count` times. */
  repeat(x: Value, count: number): Value;
  /** Items of an axis, which stays: `count` of them, one unless given. */
  select(x: Value, axis: number, start: number, count?: number): Value;
  /**
   * What `write` makes of values with as many items on their first axis, where no item needs another. A lowering may have
   * some items done before the next ones, so that what lies in between stays small. Results that go into `itemByItem` again,
   * with the same `widest`, go there as they are, without being put together.
   *
   * @param widest numbers in the largest map that is made of one item
   */
  itemByItem(values: readonly Value[], widest: number, write: (values: readonly Value[]) => readonly Value[]): Value[];
  /** What `write` makes of values, computed as exactly as in fp32 even where the rest of the network is not. */
  exactly(values: readonly Value[], write: (values: readonly Value[]) => Value): Value;
  /** Each pixel becomes 2 x 2; then cropped to (height, width) where the size was odd. */
  upsampleNearest(x: Value, height: number, width: number): Value;
  /** The same, then a 3 x 3 convolution that keeps this size. */
  upsampleConv2d(x: Value, weight: Weight, bias: Weight, size: { height: number; width: number }): Value;
}

/** Begins to write a graph. */
export type CreateLowering = (graph: Graph) => Lowering;
