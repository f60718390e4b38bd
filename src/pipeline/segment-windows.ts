/** How many frames does each segment get at a time? As many as take no more memory than the window does in the largest one. */
import type { WrittenSegment } from "../models/network.ts";
import { estimateMemory } from "../onnx/memory.ts";

/**
 * Segments for a clip of `frames`, each for a window of its own: at least the one given, evened out so that the last
 * window is about as long as the others.
 *
 * @param write the segments for one window
 */
export function segmentsForClip(
  write: (window: number) => WrittenSegment[],
  window: number,
  frames: number,
): WrittenSegment[] {
  let passes = Math.ceil(frames / window);
  let segments = write(Math.ceil(frames / passes));
  const limit = Math.max(...segments.map(({ graph }) => estimateMemory(graph)));
  while (passes > 1) {
    passes = Math.ceil(passes / 2);
    const longer = write(Math.ceil(frames / passes));
    segments = segments.map((segment, index) =>
      estimateMemory(longer[index]!.graph) <= limit ? longer[index]! : segment,
    );
  }
  return segments;
}
