/** What does one call of `generate` take, and what does it give? */
import type { Image } from "../image/image.ts";
import type { OnStep } from "../pipeline/denoise-step.ts";
import type { FloatTensor } from "../tensor.ts";
import type { GenerateSettings } from "./generate-options.ts";
import type { OutputType, PythonSpelling, Settings } from "./resolve-settings.ts";

/** The frames of one clip, by what was asked for. */
export type Frames<Output extends OutputType = "images"> = Output extends "images"
  ? Image[]
  : Output extends "floats"
    ? FloatTensor
    : never;

/** Options of `generate`, on top of those that shape the clip. */
export interface GenerateOptions<Output extends OutputType = "images"> extends GenerateSettings, PythonSpelling {
  /** Default: `images`. */
  readonly outputType?: Output | undefined;
  /** Ends the run inside a step, at the next operator. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called after each step. A tensor that it returns, of the same shape, replaces the latents. What it is given is a copy, and
   * what it returns is copied: both may be kept and changed.
   */
  readonly onStep?: OnStep | undefined;
  /**
   * The most that the process may hold during the call: bytes, or text such as `8GB`. Where the settings would take more,
   * `decodeChunkSize` is chosen so that they do not, unless it is given: the picture stays the same. What cannot fit is
   * refused. Default: what is free.
   */
  readonly maxMemory?: number | string | undefined;
}

/** The result of one call. */
export interface GenerateResult<Output extends OutputType = "images"> {
  /** One entry a clip: for `images` its pictures, for `floats` (frames, height, width, 3) in [0, 1]; none for `latents`. */
  readonly frames: Frames<Output>[];
  /** (clips, frames, 4, height / 8, width / 8), as the sampler left them. */
  readonly latents: FloatTensor;
  /** Every setting in force, the seed included: given to another call they make the same clips, unless latents were given or replaced. */
  readonly settings: Settings;
}
