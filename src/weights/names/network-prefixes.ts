/** What stands before a network's own names in a file, such as `unet.` in `unet.conv_in.weight`, and is it taken off? */
import { StillmotionError } from "../../errors.ts";
import { printable } from "../../printable.ts";
import type { Component } from "../types.ts";
import { nameInTower, visionTowers } from "./vision-tower.ts";
import { isAverage, longestStart, withoutWrappers } from "./wrapper-prefixes.ts";

interface OwnNames {
  /** The first steps of the network's own names. */
  readonly own: RegExp;
  /** Attributes that programs keep the network in, before those. */
  readonly before: RegExp;
  readonly example: string;
}

const unetSteps =
  "(?:conv_in|conv_norm_out|conv_out|time_embedding|add_embedding|down_blocks|mid_block|up_blocks|" +
  String.raw`time_embed|label_emb|input_blocks|middle_block|output_blocks|out)\.`;
const vaeSteps = String.raw`(?:encoder|decoder|quant_conv|post_quant_conv)\.`;
const towerSteps = String.raw`(?:vision_model|visual_projection|class_embedding|conv1|transformer)\b`;

const networks: Readonly<Record<Component["name"], OwnNames>> = {
  unet: {
    own: new RegExp(`^${unetSteps}`),
    before: new RegExp(String.raw`^(?:(?:model|unet|diffusion_model)\.)+(?=${unetSteps})`),
    example: "conv_in.weight, alone or after unet., diffusion_model. or model.diffusion_model.",
  },
  vae: {
    own: new RegExp(`^${vaeSteps}`),
    before: new RegExp(String.raw`^(?:(?:model|vae|autoencoder|first_stage_model)\.)+(?=${vaeSteps})`),
    example: "decoder.conv_in.weight, alone or after vae. or first_stage_model.",
  },
  image_encoder: {
    own: new RegExp(`^${towerSteps}`),
    before: /^(?!)/, // a tower is found by its tensors: anything may stand before it
    example: "vision_model.embeddings.class_embedding",
  },
};

/** The name without the attributes that programs keep such a network in; undefined for a name without any. */
export function withoutPrefix(network: Component["name"], name: string): string | undefined {
  const [prefix] = networks[network].before.exec(name) ?? [];
  return prefix === undefined ? undefined : name.slice(prefix.length);
}

/** What all names begin with, down to the network's own steps; "" for averages of the training, which are another copy. */
export function sharedPrefix(network: Component["name"], names: readonly string[]): string {
  const [first = "", ...others] = names;
  if (others.length === 0 || isAverage(first)) return "";
  let length = 0;
  while (!networks[network].own.test(first.slice(length))) {
    const next = first.indexOf(".", length) + 1;
    const start = first.slice(0, next);
    if (next === 0 || next > longestStart || !others.every((name) => name.startsWith(start))) break;
    length = next;
  }
  return networks[network].own.test(first.slice(length)) ? first.slice(0, length) : "";
}

/**
 * A component's own names for its stored ones: without what the network was wrapped in when it was saved, and without
 * what stands before its names. What is not known stays as it is.
 *
 * @param where the component's folder, for messages
 * @returns the names, without those of CLIP's text half, which are counted
 * @throws StillmotionError `invalid-checkpoint` where two tensors come to one name, or none to a name of the network
 */
export function ownNames(
  network: Component["name"],
  stored: Iterable<string>,
  where: string,
): { names: ReadonlyMap<string, string>; textTensors: number } {
  const unwrapped = new Map([...stored].map((name) => [name, withoutWrappers(name)]));
  const all = [...unwrapped.values()];
  const rename = network === "image_encoder" ? towerNames(all) : prefixOff(network, all);
  const names = new Map<string, string>();
  for (const [name, bare] of unwrapped) {
    const renamed = rename(bare);
    if (renamed !== undefined) names.set(name, renamed);
  }
  assertDistinct(names, where);
  if (![...names.values()].some((name) => networks[network].own.test(name))) refuseForeign(network, all, where);
  return { names, textTensors: unwrapped.size - names.size };
}

/** Throws when two stored names come to one. */
export function assertDistinct(names: ReadonlyMap<string, string>, where: string): void {
  const storedAs = new Map<string, string>();
  for (const [stored, name] of names) {
    const earlier = storedAs.get(name);
    if (earlier !== undefined) {
      const both = [earlier, stored]
        .sort((a, b) => a.length - b.length)
        .map(printable)
        .join(" and ");
      const problem = `holds ${both}: both are ${printable(name)} without what stands before it; keep one of them`;
      throw new StillmotionError("invalid-checkpoint", `${where}: ${problem}`);
    }
    storedAs.set(name, stored);
  }
}

function prefixOff(network: Component["name"], names: readonly string[]): (name: string) => string {
  const { length } = sharedPrefix(network, names);
  return (name) => withoutPrefix(network, name.slice(length)) ?? name.slice(length);
}

function towerNames(names: readonly string[]): (name: string) => string | undefined {
  const towers = visionTowers(names);
  return (name) => {
    for (const tower of towers) {
      const inTower = nameInTower(tower, name);
      if (inTower) return inTower.half === "vision" ? inTower.name : undefined;
    }
    return name;
  };
}

function refuseForeign(network: Component["name"], names: readonly string[], where: string): never {
  const starts = [...new Set(names.map((name) => name.slice(0, longestStart).split(".", 1)[0]!))];
  const shown = starts.slice(0, 5).map((start) => `${printable(start)}.*`);
  const rest = starts.length > shown.length ? " and others" : "";
  const averages = names.every(isAverage) ? ", averages of the training and not the weights themselves" : "";
  const expected = `expected names of its ${network}, such as ${networks[network].example}`;
  throw new StillmotionError(
    "invalid-checkpoint",
    `${where}: its tensors are named ${shown.join(", ")}${rest}${averages}; ${expected}`,
  );
}
