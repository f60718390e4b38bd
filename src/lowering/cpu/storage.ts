/** Where do a value's numbers lie in memory, and how are they brought elsewhere? */

import type { Edge } from "../../onnx/graph.ts";
import { fromBlocks, toBlocks } from "../../onnx/operators/blocked.ts";
import { reshape, transpose } from "../../onnx/ops.ts";

/**
 * A feature map (frames, height, width, channels) may be stored as
 * - `last`: as its shape says; every other value is always stored so
 * - `first`: (frames, channels, height, width), for convolutions and norms within a frame
 * - `clip`: (1, channels, frames, height * width), for convolutions and norms across frames
 * - `first8` and so on: the last two with channels in blocks of as many, which come after the pixels; see blocked-ops.ts
 */
export type Storage = "last" | "first" | "clip" | BlockedStorage;
type BlockedStorage = `${"first" | "clip"}${Block}`;

/** Channels that the convolutions of a processor work on at once. */
export const blocks = [8, 16] as const;
export type Block = (typeof blocks)[number];

type Axis = "frames" | "pixels" | "channels";

interface Layout {
  readonly axes: readonly Axis[];
  readonly block: Block | 1;
  /** With the frames first. */
  readonly byFrames: Storage;
}

const axesOf = {
  last: ["frames", "pixels", "channels"],
  first: ["frames", "channels", "pixels"],
  clip: ["channels", "frames", "pixels"],
} as const;

const layouts: Readonly<Record<Storage, Layout>> = {
  last: { axes: axesOf.last, block: 1, byFrames: "last" },
  first: { axes: axesOf.first, block: 1, byFrames: "first" },
  clip: { axes: axesOf.clip, block: 1, byFrames: "first" },
  first8: { axes: axesOf.first, block: 8, byFrames: "first8" },
  clip8: { axes: axesOf.clip, block: 8, byFrames: "first8" },
  first16: { axes: axesOf.first, block: 16, byFrames: "first16" },
  clip16: { axes: axesOf.clip, block: 16, byFrames: "first16" },
};

/** The nearest storage whose first axis is the frames. */
export function byFrames(storage: Storage): Storage {
  return layouts[storage].byFrames;
}

/** The same feature map in another storage. */
export function convert(edge: Edge, from: Storage, to: Storage, shape: readonly number[]): Edge {
  const { block } = layouts[to];
  if (layouts[from].block === block) return reordered(edge, from, to, shape);
  if (block > 1) {
    const entered = `${from === "clip" ? "clip" : "first"}${block as Block}` as const;
    return reordered(toBlocks(edge, from === "last" ? "channels last" : "channels first"), entered, to, shape);
  }
  const left = layouts[from].axes === axesOf.clip ? "clip" : to === "last" ? "last" : "first";
  return reordered(fromBlocks(edge, left === "last" ? "channels last" : "channels first"), left, to, shape);
}

/** One transposition of the three axes. */
function reordered(edge: Edge, from: Storage, to: Storage, shape: readonly number[]): Edge {
  if (from === to) return edge;
  const { axes, block } = layouts[from];
  const [frames, height, width, channels] = shape as [number, number, number, number];
  const sizes = { frames, pixels: height * width * block, channels: channels / block };
  const flat = reshape(
    edge,
    axes.map((axis) => sizes[axis]),
  );
  const moved = transpose(
    flat,
    layouts[to].axes.map((axis) => axes.indexOf(axis)),
  );
  return reshape(moved, storedShape(to, shape));
}

function storedShape(storage: Storage, shape: readonly number[]): readonly number[] {
  const [frames, height, width, channels] = shape as [number, number, number, number];
  switch (layouts[storage].axes) {
    case axesOf.last:
      return shape;
    case axesOf.first:
      return [frames, channels, height, width];
    default:
      return [1, channels, frames, height * width];
  }
}
