/** Which samplers are there? One table, by the names that options and messages use. */
import { sampleAnimateLcm } from "./animate-lcm.ts";
import { sampleDpmpp2m } from "./dpmpp-2m.ts";
import { sampleEuler } from "./euler.ts";
import type { NamedSigmas } from "./euler-discrete.ts";
import { sampleHeun } from "./heun.ts";
import type { Sampler } from "./sampler.ts";

export const samplerNames = ["euler", "heun", "dpmpp-2m", "animate-lcm"] as const;

export type SamplerName = (typeof samplerNames)[number];

export interface SamplerKind {
  readonly sample: Sampler;
  /** Whether it takes `churn`. */
  readonly takesChurn: boolean;
  /** The noise levels that it runs at. Absent: those that the checkpoint says. */
  readonly sigmas?: NamedSigmas;
  /** The most steps that it was made for. Absent: any number. */
  readonly maxSteps?: number;
}

export const samplers: Readonly<Record<SamplerName, SamplerKind>> = {
  euler: { sample: sampleEuler, takesChurn: true },
  heun: { sample: sampleHeun, takesChurn: true },
  "dpmpp-2m": { sample: sampleDpmpp2m, takesChurn: false },
  "animate-lcm": { sample: sampleAnimateLcm, takesChurn: false, sigmas: "animate-lcm", maxSteps: 8 },
};
