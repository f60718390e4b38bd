/** In which order do a value's numbers lie in memory, and how is it changed? */
import type { Edge } from "../../onnx/graph.ts";
import { reshape, transpose } from "../../onnx/ops.ts";

/**
 * A feature map (frames, height, width, channels) may be stored as
 * - `last`: as its shape says; every other value is always stored so
 * - `first`: (frames, channels, height, width), for convolutions and norms within a frame
 * - `clip`: (1, channels, frames, height * width), for convolutions and norms across frames
 */
export type Storage = "last" | "first" | "clip";

type Axis = "frames" | "pixels" | "channels";

const axes: Readonly<Record<Storage, readonly Axis[]>> = {
  last: ["frames", "pixels", "channels"],
  first: ["frames", "channels", "pixels"],
  clip: ["channels", "frames", "pixels"],
};

/** The same feature map in another storage: one transposition of its three axes. */
export function convert(edge: Edge, from: Storage, to: Storage, shape: readonly number[]): Edge {
  const [frames, height, width, channels] = shape as [number, number, number, number];
  const sizes = { frames, pixels: height * width, channels };
  const flat = reshape(
    edge,
    axes[from].map((axis) => sizes[axis]),
  );
  const moved = transpose(
    flat,
    axes[to].map((axis) => axes[from].indexOf(axis)),
  );
  return reshape(moved, storedShape(to, shape));
}

function storedShape(storage: Storage, shape: readonly number[]): readonly number[] {
  const [frames, height, width, channels] = shape as [number, number, number, number];
  switch (storage) {
    case "last":
      return shape;
    case "first":
      return [frames, channels, height, width];
    case "clip":
      return [1, channels, frames, height * width];
  }
}
