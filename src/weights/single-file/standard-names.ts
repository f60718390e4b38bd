/**
 * How would generative-models name the tensors of a single file? Programs differ in the prefix that they save before a network's
 * names. The names themselves stay as they are, be they of the original layout, of diffusers or of transformers.
 */
import { assertDistinct, sharedPrefix, withoutPrefix } from "../names/network-prefixes.ts";
import { nameInTower, type VisionTower, visionTowers } from "../names/vision-tower.ts";
import { isAverage, longestStart, withoutWrappers } from "../names/wrapper-prefixes.ts";
import { partStarts } from "./file-parts.ts";

/** Where the text half of CLIP lies, which no run needs. */
const textStart = partStarts.imageEncoder.replace(/visual\.$/, "");

/**
 * The standard name of each stored one. A UNet alone has none before its own names; of a whole checkpoint each part
 * starts as in {@link partStarts}.
 *
 * @param where the file, for messages
 * @throws StillmotionError `invalid-checkpoint` where two tensors come to one name
 */
export function standardNames(stored: Iterable<string>, where: string): ReadonlyMap<string, string> {
  const bareNames = [...stored].map((name) => [name, withoutWrappers(name)] as const);
  const { length: wholeLength } = startOfWhole(bareNames.map(([, bare]) => bare));
  const unwrapped = new Map(bareNames.map(([name, bare]) => [name, bare.slice(wholeLength)]));
  const all = [...unwrapped.values()];
  const tower = foreignTower(all);
  const isWhole = hasParts(all, tower);
  const { length } = isWhole ? "" : sharedPrefix("unet", all);
  const rename = (name: string) =>
    towerName(tower, name) ??
    vaeName(name) ??
    (isWhole ? unetName(name, partStarts.unet) : unetName(name.slice(length), "")) ??
    name.slice(length);
  const names = new Map([...unwrapped].map(([name, bare]) => [name, rename(bare)]));
  assertDistinct(names, where);
  return names;
}

/** True for a file with other networks than a UNet. */
function hasParts(names: readonly string[], tower: VisionTower | undefined): boolean {
  return tower !== undefined || names.some((name) => vaeName(name) ?? /^(conditioner|cond_stage_model)\./.test(name));
}

/** The prefix of a whole checkpoint, such as `pipe.`; "" for a network alone, and for averages of the training. */
function startOfWhole(names: readonly string[]): string {
  const start = commonStart(names);
  if (start === "" || isAverage(start)) return "";
  const inside = names.map((name) => name.slice(start.length));
  return hasParts(inside, foreignTower(inside)) ? start : "";
}

/** The steps that all names begin with. */
function commonStart([first = "", ...others]: readonly string[]): string {
  let start = "";
  for (;;) {
    const next = first.slice(0, first.indexOf(".", start.length) + 1);
    const isShared = next.length <= longestStart && others.every((name) => name.startsWith(next));
    if (next === "" || !isShared) return start;
    start = next;
  }
}

/** The only vision tower, if its prefix is not that of generative-models. */
function foreignTower(names: readonly string[]): VisionTower | undefined {
  const towers = visionTowers(names);
  const [tower] = towers;
  return towers.length === 1 ? tower : towers.find(({ start }) => start === partStarts.imageEncoder);
}

function towerName(tower: VisionTower | undefined, name: string): string | undefined {
  const inTower = tower && nameInTower(tower, name);
  if (!inTower) return undefined;
  return inTower.half === "vision" ? partStarts.imageEncoder + inTower.name : textStart + name;
}

/** The standard name of a tensor of the VAE. In a file with other parts the VAE has a prefix that says what it is. */
function vaeName(name: string): string | undefined {
  const rest = withoutPrefix("vae", name);
  const prefix = rest === undefined ? "" : name.slice(0, -rest.length);
  return /(?:vae|first_stage_model)\./.test(prefix) ? partStarts.firstStage + rest : undefined;
}

function unetName(name: string, start: string): string | undefined {
  const rest = withoutPrefix("unet", name);
  return rest === undefined ? undefined : start + rest;
}
