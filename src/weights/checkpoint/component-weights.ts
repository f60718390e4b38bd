/** Where does each tensor of one component lie? Headers of all its weights files are read and held against each other. */
import { StillmotionError } from "../../errors.ts";
import { printable } from "../../printable.ts";
import type { FilePlace, FileSource } from "../file-source.ts";
import { assertPlainFileName } from "../names/file-names.ts";
import { readSafetensorsHeader } from "../safetensors/safetensors-file.ts";
import { dataTypeOf } from "../safetensors/safetensors-header.ts";
import type { Component, JsonObject, WeightEntry } from "../types.ts";
import { readJsonFile } from "./json-file.ts";
import { type TensorInFile, takeScales } from "./scales.ts";

type ComponentWeights = Pick<Component, "weightsFolder" | "tensors">;

/** Reads the header of a component's only weights file. */
export async function readSingleWeights(
  files: FileSource,
  folder: string,
  fileName: string,
): Promise<ComponentWeights> {
  const { weightsFolder, tensors } = await readWeightsFiles(files, folder, [fileName]);
  return { weightsFolder, tensors };
}

/**
 * Reads the headers of all shards that an index names. Its `weight_map` must agree with what they hold.
 *
 * @throws StillmotionError `invalid-checkpoint` also when a tensor is missing, unlisted or in two shards
 */
export async function readShardedWeights(
  files: FileSource,
  folder: string,
  indexName: string,
): Promise<ComponentWeights> {
  const indexPath = files.join(folder, indexName);
  const shardOf = weightMap(await readJsonFile(files, indexPath), indexPath);
  const shards = [...new Set(shardOf.values())].sort();
  const { names, ...weights } = await readWeightsFiles(files, folder, shards, (name, shard) => {
    const listed = shardOf.get(name);
    if (listed === shard) return;
    const problem = listed === undefined ? "does not list it" : `lists it in ${listed}`;
    refuse(
      files.join(folder, shard),
      `holds ${printable(name)}, but ${indexName} ${problem}: are the files of one download?`,
    );
  });
  for (const [name, shard] of shardOf) {
    if (!names.has(name)) {
      refuse(files.join(folder, shard), `does not hold ${printable(name)}, which ${indexName} lists in it`);
    }
  }
  return weights;
}

/** The file of each tensor, from `{"weight_map": {"conv_in.weight": "model-00001-of-00002.safetensors", …}}`. */
function weightMap(index: JsonObject, indexPath: string): ReadonlyMap<string, string> {
  const listed = index.weight_map;
  if (typeof listed !== "object" || listed === null || Array.isArray(listed) || Object.keys(listed).length === 0) {
    refuse(indexPath, "has no weight_map, expected the file name of each tensor");
  }
  const shardOf = new Map<string, string>();
  for (const [name, shard] of Object.entries(listed)) {
    if (typeof shard !== "string") refuse(indexPath, `weight_map.${printable(name)} is not a file name`);
    assertPlainFileName(shard, indexPath);
    if (!shard.endsWith(".safetensors")) refuse(indexPath, `names ${printable(shard)}, expected .safetensors files`);
    shardOf.set(name, shard);
  }
  return shardOf;
}

async function readWeightsFiles(
  files: FileSource,
  folder: string,
  fileNames: readonly string[],
  onTensor: (name: string, fileName: string) => void = () => {},
): Promise<ComponentWeights & { readonly names: ReadonlySet<string> }> {
  const found = new Map<string, TensorInFile>();
  const realNames = new Map<string, string>();
  let weightsFolder: string | undefined;
  for (const fileName of fileNames) {
    const path = files.join(folder, fileName);
    const real = await followLinks(files, path);
    weightsFolder ??= real.folder;
    if (real.folder !== weightsFolder) {
      const found = `${weightsFolder} and ${real.folder}`;
      refuse(folder, `its weights files really lie in two folders, ${found}; ONNX Runtime needs them in one`);
    }
    for (const [name, entry] of (await readSafetensorsHeader(files, path)).entries) {
      const earlier = found.get(name);
      if (earlier) refuse(folder, `both ${files.placeOf(earlier.path).name} and ${fileName} hold ${printable(name)}`);
      onTensor(name, fileName);
      found.set(name, { entry, path });
      realNames.set(path, real.name);
    }
  }
  const tensors = new Map<string, WeightEntry>();
  for (const [name, { entry, path }] of await takeScales(files, found)) {
    const { shape, offset, sizeBytes, scales } = entry;
    const where = { file: realNames.get(path)!, offset, sizeBytes };
    tensors.set(name, { name, dtype: dataTypeOf(entry, path), shape, ...where, ...(scales && { scales }) });
  }
  if (weightsFolder === undefined || tensors.size === 0) refuse(folder, "its weights files hold no tensors");
  return { weightsFolder, tensors, names: new Set(found.keys()) };
}

/** Where a weights file really lies. */
export async function followLinks(files: FileSource, path: string): Promise<FilePlace> {
  try {
    return await files.realPlace(path);
  } catch (cause) {
    const { reason } = files.problemOf(cause);
    const problem = `${path}: is missing, or a link to nothing (${reason}): is the download complete?`;
    throw new StillmotionError("invalid-checkpoint", problem, { cause });
  }
}

function refuse(where: string, problem: string): never {
  throw new StillmotionError("invalid-checkpoint", `${where}: ${problem}`);
}
