/** How many frames does each segment get at a time? As many as fit in the workspace that the window needs in the largest one. */
import type { WrittenSegment } from "../models/network.ts";
import { elementCount } from "../tensor.ts";
import { workspaceSize } from "./segment-workspace.ts";

/** The window that makes as few windows as the one given, and all of them about as long. */
export function evenWindow(window: number, frames: number): number {
  return Math.ceil(frames / Math.ceil(frames / window));
}

/**
 * Segments for a clip of `frames`, each of them for as many frames at a time as suit it.
 *
 * @param write the segments for one window
 * @param window how many frames the largest segment gets at most
 */
export function segmentsForClip(
  write: (window: number) => WrittenSegment[],
  window: number,
  frames: number,
): WrittenSegment[] {
  let segments = write(evenWindow(window, frames));
  const limit = workspaceSize(segments);
  const fits = (segment: WrittenSegment) => {
    const { tensorBytes, runBytes } = workspaceSize([segment]);
    return tensorBytes <= limit.tensorBytes && runBytes <= limit.runBytes;
  };
  for (let longer = 2 * window; longer < 2 * frames; longer *= 2) {
    const candidates = write(evenWindow(Math.min(longer, frames), frames));
    segments = segments.map((segment, index) => (fits(candidates[index]!) ? candidates[index]! : segment));
  }
  return segments;
}

/** Frames that a segment gets at a time, the neighbours not counted. */
export function windowOf({ reads }: WrittenSegment): number {
  return reads[0]!.shape[0]! - 2 * reads[0]!.neighbours;
}

/** Bytes that one clip brings to its maps' places and back, what is given and the result included. */
export function movedMapBytes(segments: readonly WrittenSegment[], frames: number): number {
  const [first, result] = [segments[0]!.reads[0]!.map, segments.at(-1)!.writes[0]!];
  let numbers = frames * (first.frameSize + result.frameSize);
  for (const segment of segments) {
    const windows = Math.ceil(frames / windowOf(segment));
    for (const { shape, map, neighbours } of segment.reads) {
      numbers += windows * elementCount(shape) - 2 * neighbours * map.frameSize; // none beyond the clip's ends
    }
    for (const { frameSize } of segment.writes) numbers += frames * frameSize;
  }
  return Float32Array.BYTES_PER_ELEMENT * numbers;
}
