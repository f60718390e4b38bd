/** What does a caller hear after each step of denoising, and what may it answer? */
import type { FloatTensor } from "../tensor.ts";

/** The state after one step. */
export interface DenoiseStep {
  /** Steps done, from 1. */
  readonly step: number;
  readonly steps: number;
  /** The noise level that the step started from. */
  readonly sigma: number;
  /** What the network is told of that level. */
  readonly timestep: number;
  /** (clips, frames, 4, height, width). */
  readonly latents: FloatTensor;
}

/** Called after each step. A tensor that it returns, of the same shape, replaces the latents. */
// biome-ignore lint/suspicious/noConfusingVoidType: a callback that returns nothing is the usual one
export type OnStep = (step: DenoiseStep) => FloatTensor | undefined | void | Promise<FloatTensor | undefined | void>;
