/** Which of a repository's files does a run need? The configurations, and the weights of one variant in one form. */
import { type Message, message, StillmotionError } from "../errors.ts";
import { printable } from "../printable.ts";
import { assertPlainFileName } from "../weights/names/file-names.ts";
import { chooseWeightsFile, leaveVariantOut, variantsIn, weightsNamings } from "../weights/names/weights-files.ts";
import type { Component, JsonObject } from "../weights/types.ts";

const components = Object.keys(weightsNamings) as Component["name"][];

const required = [
  "model_index.json",
  "scheduler/scheduler_config.json",
  ...components.map((component) => `${component}/config.json`),
];
/** One of these; the second is that of a whole processor. */
const featureExtractor = ["feature_extractor/preprocessor_config.json", "feature_extractor/processor_config.json"];
const optional = ["preset.json"];

export interface NeededFiles {
  /** Small, and read before anything large is fetched. */
  readonly configurations: readonly string[];
  /** Each names the shards that hold a component's weights. */
  readonly indexes: readonly string[];
  /** Weights that lie in one file. */
  readonly weights: readonly string[];
}

/** What of a checkpoint a run wants. */
export interface Wanted {
  /** See {@link chooseWeightsFile}. */
  readonly variant?: string | undefined;
  /** Components of which the configuration is enough: another file has their weights. */
  readonly withoutWeights?: readonly Component["name"][] | undefined;
}

/**
 * Chooses from the paths of a repository.
 *
 * @param where its name, for messages
 * @throws StillmotionError `invalid-checkpoint` when it is no checkpoint in diffusers layout or lacks the variant
 */
export function neededFiles(
  paths: readonly string[],
  { variant, withoutWeights = [] }: Wanted,
  where: string,
): NeededFiles {
  const pixels = featureExtractor.find((path) => paths.includes(path)) ?? featureExtractor[0]!;
  const missing = [...required, pixels].filter((path) => !paths.includes(path));
  if (missing.includes("model_index.json")) {
    const holds = paths.length === 0 ? "is empty" : `holds ${listed(paths)}`;
    refuse(
      where,
      `has no model_index.json: it ${holds}; expected a Stable Video Diffusion checkpoint in diffusers layout`,
    );
  }
  if (missing.length > 0)
    refuse(where, `has no ${missing.join(", no ")}; expected a whole checkpoint in diffusers layout`);

  if (variant !== undefined) assertVariant(paths, variant, where);
  const [indexes, weights]: [string[], string[]] = [[], []];
  for (const component of components) {
    if (withoutWeights.includes(component)) continue;
    const names = namesIn(component, paths);
    const naming = weightsNamings[component];
    const { kind, name } = chooseWeightsFile(names, naming, `${where}: ${component}`, variant);
    assertPlainFileName(name, where);
    (kind === "index" ? indexes : weights).push(`${component}/${name}`);
  }
  return {
    configurations: [...required, pixels, ...optional.filter((path) => paths.includes(path))],
    indexes,
    weights,
  };
}

/** One component with the variant is enough; the others are read from their plain files. */
function assertVariant(paths: readonly string[], variant: string, where: string): void {
  const found = Object.entries(weightsNamings).flatMap(([component, { stem }]) => [
    ...variantsIn(namesIn(component, paths), stem).keys(),
  ]);
  if (found.includes(variant)) return;
  const others = [...new Set(found)].filter((name) => name !== "");
  const advice = others.length === 0 ? leaveVariantOut : `it has ${listed(others)}`;
  refuse(where, message`has no weights of the variant "${printable(variant)}"; ${advice}`);
}

/** The shards that an index names, as paths of the repository. */
export function shardsOf(index: JsonObject, indexPath: string, where: string): string[] {
  const map = index.weight_map;
  const names = map !== null && typeof map === "object" ? [...new Set(Object.values(map))] : [];
  if (names.length === 0) refuse(where, `${printable(indexPath)} has no weight_map, expected the files of each tensor`);
  const folder = indexPath.slice(0, indexPath.lastIndexOf("/"));
  return names.map((name) => {
    assertPlainFileName(String(name), `${where}: ${printable(indexPath)}`);
    return `${folder}/${name}`;
  });
}

/** Names of the files directly in a folder. */
function namesIn(folder: string, paths: readonly string[]): string[] {
  const prefix = `${folder}/`;
  return paths.flatMap((path) => {
    const name = path.slice(prefix.length);
    return path.startsWith(prefix) && !name.includes("/") ? [name] : [];
  });
}

function listed(names: readonly string[]): string {
  const shown = [...names].sort().slice(0, 8).map(printable).join(", ");
  return names.length > 8 ? `${shown} and ${names.length - 8} more` : shown;
}

function refuse(where: string, problem: Message): never {
  throw new StillmotionError("invalid-checkpoint", message`${where}: ${problem}`);
}
