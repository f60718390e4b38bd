/** What does the sampler of a checkpoint ask for, when it is not the one that Stable Video Diffusion was published with? */
import { StillmotionError } from "../../errors.ts";
import { printable } from "../../printable.ts";
import { classKind, foreignText, ownClass } from "../names/class-names.ts";
import { publishedScheduler } from "../single-file/published-configs.ts";
import type { JsonObject } from "../types.ts";

/** Options of diffusers 0.42.1's `EulerDiscreteScheduler`. */
const eulerOptions = [
  ...Object.keys(publishedScheduler).filter((name) => !name.startsWith("_")),
  "final_sigmas_type",
  "rescale_betas_zero_snr",
  "use_beta_sigmas",
  "use_exponential_sigmas",
  "rho",
];

/** What is nearest to a class among the samplers here. */
const alike: Readonly<Record<string, string>> = {
  HeunDiscreteScheduler: "heun",
  DPMSolverMultistepScheduler: "dpmpp-2m",
  AnimateLCMSVDStochasticIterativeScheduler: "animate-lcm",
};

/**
 * The options of `EulerDiscreteScheduler` for a `scheduler_config.json` of any class: what both have, and for the rest
 * what Stable Video Diffusion was published with, as the network is no other for it.
 *
 * @param indexClass what `model_index.json` names, which is the class that diffusers makes
 * @throws StillmotionError `unsupported` for a class that samples another kind of network
 */
export function asEulerDiscrete(
  config: JsonObject,
  indexClass: string | undefined,
  path: string,
): { config: JsonObject; assumptions: string[] } {
  const ownName = typeof config._class_name === "string" ? config._class_name : indexClass;
  const other = [ownName, indexClass].find((name) => classKind("scheduler", name) !== "own");
  if (other === undefined) return { config, assumptions: [] };
  const got = `is of class ${printable(other)}`;
  if (classKind("scheduler", other) === "foreign") refuse(path, foreignText(got, "scheduler"));
  const hint = Object.hasOwn(alike, other) ? ` (the scheduler ${alike[other]} is its like here)` : "";
  const taken = `${path}: ${got}; ${ownClass("scheduler")} is taken instead${hint}`;
  if (classKind("scheduler", ownName) === "own") return { config, assumptions: [taken] };

  const said = commonOptions(config, got, path);
  const { _class_name, ...published }: Record<string, unknown> = publishedScheduler;
  if (said.use_exponential_sigmas === true) published.use_karras_sigmas = false;
  const missing = Object.keys(published).filter((name) => !Object.hasOwn(said, name) && published[name] !== null);
  const rest = missing.length === 0 ? "" : `, and ${missing.join(", ")} as Stable Video Diffusion was published with`;
  return {
    config: { _class_name, ...published, ...said },
    assumptions: [`${taken}, with the options that both have${rest}`],
  };
}

/** What is null is not said. */
function commonOptions(config: JsonObject, got: string, path: string): Record<string, unknown> {
  if (config.use_flow_sigmas === true) refuse(path, foreignText(`${got} with use_flow_sigmas`, "scheduler"));
  const { sigma_data: sigmaData, sigma_schedule: spacing } = config;
  if (sigmaData != null && sigmaData !== 1) {
    refuse(path, `${got} and has sigma_data ${JSON.stringify(sigmaData)}, expected 1, by which the network is scaled`);
  }
  const said = Object.fromEntries(eulerOptions.flatMap((name) => (config[name] == null ? [] : [[name, config[name]]])));
  // Without betas its training steps are those of another rule.
  const hasBetas = ["beta_start", "beta_schedule", "trained_betas"].some((name) => Object.hasOwn(said, name));
  if (!hasBetas) delete said.num_train_timesteps;
  if (spacing === "exponential") said.use_exponential_sigmas = true;
  if (spacing === "karras") said.use_karras_sigmas = true;
  return said;
}

function refuse(where: string, problem: string): never {
  throw new StillmotionError("unsupported", `${where}: ${problem}`);
}
