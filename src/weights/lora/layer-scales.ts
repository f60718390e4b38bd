/** What is the product of a layer's halves multiplied by? alpha / rank, by its own alpha or by what configurations say. */
import { StillmotionError } from "../../errors.ts";
import { printable } from "../../printable.ts";
import type { AdapterConfig, ConfiguredLayer } from "./adapter-config.ts";

export interface LayerScale {
  readonly scale: number;
  /** Undefined where nothing says one; the scale is then 1. */
  readonly alpha: number | undefined;
  /** A sentence about what was assumed, without the name of the layer. */
  readonly note?: string;
}

/**
 * The scale of a layer. Its own alpha comes first, then that of a pattern, then the one for all layers.
 *
 * @param ownAlpha the number of the layer's alpha tensor
 * @throws StillmotionError `invalid-checkpoint` where the configurations contradict each other or the tensors
 */
export function scaleOf(
  layer: ConfiguredLayer,
  rank: number,
  ownAlpha: number | undefined,
  configs: readonly AdapterConfig[],
): LayerScale {
  if (ownAlpha !== undefined)
    return { scale: ownAlpha / rank, alpha: ownAlpha, ...otherAlpha(layer, ownAlpha, configs) };
  const said = configs.map((config) => ({ where: config.where, ...config.ofLayer(layer) }));
  for (const { where, rank: saidRank } of said) {
    if (saidRank === undefined || saidRank === rank) continue;
    const got = `gives ${printable(layer.name)} the rank ${saidRank}, its tensors have ${rank}`;
    throw new StillmotionError("invalid-checkpoint", `${where}: ${got}: does it belong to this LoRA?`);
  }
  const stabilised = configs.flatMap(({ where, isRankStabilised: value }) =>
    value === undefined ? [] : { where, value },
  );
  const divisor = agreed(stabilised, "use_rslora") ? Math.sqrt(rank) : rank;
  const alphas = said.flatMap(({ where, alpha, isOwnAlpha = false }) =>
    alpha === undefined ? [] : { where, value: alpha, isOwnAlpha },
  );
  const own = alphas.filter(({ isOwnAlpha }) => isOwnAlpha);
  const alpha = agreed(own.length > 0 ? own : alphas, `alpha for ${printable(layer.name)}`);
  if (alpha !== undefined) return { scale: alpha / divisor, alpha };
  const silent = configs.find(({ defaultAlpha }) => defaultAlpha !== undefined);
  if (!silent) {
    const note =
      "no alpha is given, neither by its tensors nor by a configuration; strength 1 adds it with scale 1, as if alpha were the rank";
    return { scale: 1, alpha: undefined, note };
  }
  const { where, defaultAlpha = 0 } = silent;
  const note = `no lora_alpha is given in ${where}: ${defaultAlpha} is taken, as PEFT does`;
  return { scale: defaultAlpha / divisor, alpha: defaultAlpha, note };
}

function otherAlpha(layer: ConfiguredLayer, ownAlpha: number, configs: readonly AdapterConfig[]): { note?: string } {
  for (const { where, ofLayer } of configs) {
    const { alpha } = layer.paths.length > 0 ? ofLayer(layer) : {};
    if (alpha === undefined || alpha === ownAlpha) continue;
    return { note: `alpha is taken from the file's own tensors, not the ${alpha} of ${where}` };
  }
  return {};
}

/** The value on which all places agree; undefined where no place gives one. */
function agreed<Value>(given: readonly { where: string; value: Value }[], what: string): Value | undefined {
  const [first] = given;
  const other = given.find(({ value }) => value !== first!.value);
  if (!first || !other) return first?.value;
  const both = `${first.where} says ${first.value}, ${other.where} says ${other.value}`;
  throw new StillmotionError("invalid-checkpoint", `${what}: ${both}; which one holds?`);
}
