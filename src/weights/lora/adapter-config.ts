/** What does a configuration say of a LoRA's scale? PEFT's `LoraConfig`, from `adapter_config.json` or a file's metadata. */
import { StillmotionError } from "../../errors.ts";
import { printable } from "../../printable.ts";
import type { JsonObject } from "../types.ts";
import { type LayerPatterns, layerPatterns } from "./layer-patterns.ts";

/** A layer, as configurations ask for it. */
export interface ConfiguredLayer {
  /** As the file spells it, for messages. */
  readonly name: string;
  /** The paths by which patterns may name it; none for kohya's names, whose paths only the network itself can tell. */
  readonly paths: readonly string[];
  /** Whether it is a convolution with a kernel of more than one tap. */
  readonly hasKernel: boolean;
}

/** What a configuration says of one layer. */
interface SaidOfLayer {
  readonly alpha?: number | undefined;
  /** Whether the alpha is this layer's own, from a pattern. */
  readonly isOwnAlpha?: boolean;
  readonly rank?: number | undefined;
}

/** What one place says. */
export interface AdapterConfig {
  /** The place, for messages. */
  readonly where: string;
  readonly ofLayer: (layer: ConfiguredLayer) => SaidOfLayer;
  /** alpha is divided by the root of the rank (Kalajdzievski 2023, "Rank-stabilized LoRA"). Undefined: not said. */
  readonly isRankStabilised?: boolean | undefined;
  /** The alpha of layers to which nothing gives one. */
  readonly defaultAlpha?: number;
}

/** What PEFT 0.21.2 tuners/lora/config.py `LoraConfig` takes where a configuration has no `lora_alpha`. */
const peftAlpha = 8;

/** Members of a configuration that say that it is no plain LoRA, and what it is instead. */
const otherKinds: Readonly<Record<string, string>> = {
  use_dora: "a DoRA",
  use_qalora: "a QALoRA",
  use_bdlora: "a block-diagonal LoRA",
  kasa_config: "a KaSA",
  velora_config: "a VeLoRA",
  monteclora_config: "a MonteCLoRA",
  arrow_config: "for Arrow's routing among several LoRAs",
  alora_invocation_tokens: "an activated LoRA",
  lora_bias: "a LoRA with biases",
  modules_to_save: "a LoRA with whole layers beside it",
  trainable_token_indices: "a LoRA with tokens beside it",
  target_parameters: "a LoRA of single parameters",
  layer_replication: "for a network with layers repeated",
  megatron_config: "for Megatron's layers",
  fan_in_fan_out: "for weights that lie by inputs",
};

/** Training starts that leave the checkpoint's weights as they are. */
const harmlessStarts = ["true", "false", "gaussian", "eva", "orthogonal", "mica"];
const startsThatChangeWeights = /^(pissa(_niter_\d+)?|olora|corda|loftq|lora_ga)$/;

/**
 * Reads what concerns the scale. All members that are not named in this file are about training, or about where the LoRA came from.
 *
 * @throws StillmotionError `unsupported` for a configuration of another kind of adapter, `invalid-checkpoint`
 */
export function readAdapterConfig(members: JsonObject, where: string): AdapterConfig {
  refuseOtherKinds(members, where);
  const alpha = finiteNumber(own(members, "lora_alpha"), "alpha", where);
  const rank = wholeRank(own(members, "r"), "rank", where);
  const alphas = patternsOf(members, "alpha_pattern", finiteNumber, where);
  const ranks = patternsOf(members, "rank_pattern", wholeRank, where);
  const stabilised = own(members, "use_rslora");
  if (stabilised !== undefined && typeof stabilised !== "boolean") {
    refuse(where, `gives use_rslora as ${printable(String(stabilised))}, expected true or false`);
  }
  return {
    where,
    isRankStabilised: stabilised,
    defaultAlpha: peftAlpha,
    ofLayer: ({ paths }) => {
      const ownAlpha = alphas(paths);
      return { alpha: ownAlpha ?? alpha, isOwnAlpha: ownAlpha !== undefined, rank: ranks(paths) ?? rank };
    },
  };
}

function refuseOtherKinds(members: JsonObject, where: string): void {
  const unsupported = (problem: string): never => {
    throw new StillmotionError("unsupported", `${where}: ${problem}`);
  };
  const plain = "only plain LoRAs are read, pairs of two matrices";
  const type = own(members, "peft_type");
  if (type !== undefined && type !== "LORA") unsupported(`is of the kind ${shown(type)}; ${plain}`);
  for (const [name, kind] of Object.entries(otherKinds)) {
    if (isSet(own(members, name))) unsupported(`is ${kind} (${name}), which is not read; ${plain}`);
  }
  const unknown = Object.keys(members).find((name) => /^use_/.test(name) && name !== "use_rslora" && members[name]);
  if (unknown !== undefined) unsupported(`has ${printable(unknown)}, which is not known; ${plain}`);
  const bias = own(members, "bias");
  if (bias !== undefined && bias !== "none") {
    unsupported(`is a LoRA with biases (bias is ${shown(bias)}), which is not read; ${plain}`);
  }
  const start = String(own(members, "init_lora_weights") ?? true).toLowerCase();
  if (startsThatChangeWeights.test(start)) {
    unsupported(
      `was trained on weights that its start, ${start}, had changed, and does not go with the checkpoint's: ` +
        "save it with PEFT's path_initial_model_for_weight_conversion",
    );
  }
  if (!harmlessStarts.includes(start)) unsupported(`has init_lora_weights ${shown(start)}, which is not known`);
}

/** True for values that Python takes for true. */
function isSet(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

function patternsOf(
  members: JsonObject,
  name: "alpha_pattern" | "rank_pattern",
  read: (value: unknown, what: string, where: string) => number | undefined,
  where: string,
): LayerPatterns {
  const given = own(members, name) ?? {};
  if (typeof given !== "object" || Array.isArray(given)) refuse(where, `gives ${name} as ${shown(given)}`);
  const what = name === "alpha_pattern" ? "alpha" : "rank";
  const values = Object.entries(given).flatMap(([key, value]): [string, number][] => {
    const number = read(value, what, where);
    return number === undefined ? [] : [[key, number]];
  });
  const patterns = layerPatterns(name, Object.fromEntries(values), where);
  return (paths) => {
    if (paths.length > 0 || values.length === 0) return patterns(paths);
    const problem = `${where}: has the paths of ${name}, while the layers have underscores for dots, as kohya's scripts name them`;
    throw new StillmotionError("unsupported", problem);
  };
}

function finiteNumber(value: unknown, what: string, where: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  return refuse(where, `gives the ${what} ${shown(value)}, expected a number`);
}

function wholeRank(value: unknown, what: string, where: string): number | undefined {
  const rank = finiteNumber(value, what, where);
  if (rank === undefined || (Number.isSafeInteger(rank) && rank > 0)) return rank;
  return refuse(where, `gives the ${what} ${rank}, expected a whole number above 0`);
}

/** The member of that name; undefined for null, which PEFT writes for what is not used. */
function own(members: JsonObject, name: string): unknown {
  return Object.hasOwn(members, name) ? (members[name] ?? undefined) : undefined;
}

function shown(value: unknown): string {
  return printable(typeof value === "object" ? JSON.stringify(value) : String(value));
}

function refuse(where: string, problem: string): never {
  throw new StillmotionError("invalid-checkpoint", `${where}: ${problem}`);
}
