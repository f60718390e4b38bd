/** Which options make a clip faster and another one? What the bench asks the price of. */
import type { Side } from "./sides.ts";

/** A run in which nothing is saved, and what is compared with it. Settings have the names of Python's call. */
export interface QualityCase {
  readonly name: string;
  /** On top of the checkpoint's own. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly options: readonly SpeedOption[];
}

interface SpeedOption {
  readonly name: string;
  /** Arithmetic of the UNet. Default: fp32. */
  readonly dtype?: Side["dtype"];
  readonly weightStorage?: Side["weightStorage"];
  /** On top of the case's. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export const qualityCases: readonly QualityCase[] = [
  {
    name: "its own settings",
    settings: {},
    options: [
      { name: "int8", dtype: "int8" },
      { name: "weights in int8", weightStorage: "int8" },
      { name: "cacheInterval 2", settings: { cache_interval: 2 } },
      { name: "half the steps", settings: { num_inference_steps: 4 } },
      { name: "half the steps, dpmpp-2m", settings: { num_inference_steps: 4, scheduler: "dpmpp-2m" } },
    ],
  },
  {
    name: "25 steps with guidance 1 to 3",
    settings: { num_inference_steps: 25, min_guidance_scale: 1, max_guidance_scale: 3 },
    options: [
      { name: "int8", dtype: "int8" },
      { name: "weights in int8", weightStorage: "int8" },
      { name: "cacheInterval 2", settings: { cache_interval: 2 } },
      { name: "cacheInterval 3", settings: { cache_interval: 3 } },
      { name: "cacheInterval 5", settings: { cache_interval: 5 } },
      { name: "guidanceInterval 0.3 to 10", settings: { guidance_interval: [0.3, 10] } },
      { name: "half the steps", settings: { num_inference_steps: 12 } },
      { name: "half the steps, dpmpp-2m", settings: { num_inference_steps: 12, scheduler: "dpmpp-2m" } },
      { name: "10 steps, sigmas ays", settings: { num_inference_steps: 10, sigmas: "ays" } },
      { name: "without guidance", settings: { max_guidance_scale: 1 } },
    ],
  },
];
