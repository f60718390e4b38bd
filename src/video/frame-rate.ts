/** Which frame rates can a format hold, and how long is each frame shown? */
import { message, option, StillmotionError } from "../errors.ts";
import { type ClipFormat, defaultFps } from "./clip.ts";

/** Frames a second that a format can store and that players show as stored. */
interface FpsLimits {
  readonly lowest: number;
  readonly highest: number;
  /** Why, and what to do instead. */
  readonly mend: string;
}

const anyRate: FpsLimits = { lowest: Number.MIN_VALUE, highest: Number.MAX_VALUE, mend: "" };

const fpsLimits: Readonly<Record<ClipFormat, FpsLimits>> = {
  mp4: { lowest: 0.001, highest: 1000, mend: "choose a rate in that range" },
  // Browsers slow frames of 10 ms or less down to 100 ms, in GIF and in WebP.
  gif: { lowest: 0.01, highest: 50, mend: "GIF counts time in 1/100 s; write an .mp4 or choose a rate in that range" },
  webp: {
    lowest: 0.001,
    highest: 90,
    mend: "browsers slow a faster WebP down; write an .mp4 or choose a rate in that range",
  },
  png: anyRate,
  safetensors: anyRate,
};

/** The frame rate, or the default; throws `invalid-option` for one that the format cannot show. */
export function checkedFps(fps: number | undefined, format: ClipFormat): number {
  const value = fps ?? defaultFps;
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) {
    const problem = message`${option("fps")}: got ${String(value)}, expected a number above 0`;
    throw new StillmotionError("invalid-option", problem);
  }
  const { lowest, highest, mend } = fpsLimits[format];
  if (value < lowest || value > highest) {
    throw new StillmotionError(
      "invalid-option",
      message`${option("fps")}: got ${value}, expected ${lowest} to ${highest} for .${format}; ${mend}`,
    );
  }
  return value;
}

/**
 * Whole time units that each frame is shown for. The k-th frame ends at `round(k * unitsPerSecond / fps)`, so rounding
 * never adds up and the clip is as long as its frame rate says.
 */
export function frameDurations(frameCount: number, fps: number, unitsPerSecond: number): number[] {
  const endOf = (index: number) => Math.round((index * unitsPerSecond) / fps);
  return Array.from({ length: frameCount }, (_, index) => endOf(index + 1) - endOf(index));
}
