/** What surrounds a frame that is smaller than its picture? It lies on a canvas of one colour. */
import type { StoredPixels } from "./stored-pixels.ts";

/** Where a frame lies on the canvas that is the picture. */
export interface Canvas {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
  /** Red, green, blue and alpha of what the frame leaves free. */
  readonly around: readonly [number, number, number, number];
}

/** The canvas with the frame on it. The frame replaces what is there, also where it is transparent. */
export function putOnCanvas(frame: StoredPixels, { width, height, left, top, around }: Canvas): StoredPixels {
  const [red, green, blue, opacity] = around;
  const data = new Uint8Array(width * height * 3); // (height, width, 3)
  for (let at = 0; at < data.length; at += 3) data.set([red, green, blue], at);
  const alpha = frame.alpha && new Uint8Array(width * height).fill(opacity); // (height, width)
  for (let y = 0; y < frame.height; y++) {
    const from = y * frame.width;
    const to = (top + y) * width + left;
    data.set(frame.data.subarray(from * 3, (from + frame.width) * 3), to * 3);
    if (frame.alpha) alpha?.set(frame.alpha.subarray(from, from + frame.width), to);
  }
  return { ...frame, width, height, data, alpha };
}
