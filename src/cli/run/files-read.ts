/** Which files does a run read? None of them may be one that it writes, under whatever name. */
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { disk } from "../../node/files/disk.ts";
import { fileIdentity } from "../../node/files/file-identity.ts";
import { defaultCacheFolder, repositoryFolders } from "../../node/hub/cache-folder.ts";
import { findModel } from "../../node/hub/find-model.ts";
import { localPath } from "../../node/image/read-source.ts";
import type { FromPretrainedOptions } from "../../options/load-options.ts";
import { isFile } from "../../weights/checkpoint/not-a-checkpoint.ts";

interface FileRead {
  readonly path: string;
  /** What it is to the run, in words. */
  readonly what: string;
}

/** By their identities. */
export type FilesRead = ReadonlyMap<string, FileRead>;

export interface Inputs {
  readonly images: readonly string[];
  readonly latents: string | undefined;
  readonly model: string;
  readonly pipelineOptions: FromPretrainedOptions;
}

/** A checkpoint's folder and the folders of its networks, one deeper for the snapshots of a cache. */
const deepestFolder = 3;

export async function filesRead({ images, latents, model, pipelineOptions }: Inputs): Promise<FilesRead> {
  const files = new Map<string, FileRead>();
  const add = async (path: string | undefined, what: string) => {
    if (path !== undefined && (await isFile(disk, path))) files.set(await fileIdentity(path), { path, what });
  };
  const addAll = async (path: string | undefined, what: string) => {
    if (path !== undefined) for (const file of await filesBelow(path)) await add(file, what);
  };
  await addAll(await modelPath(model, pipelineOptions), "a file of the model");
  for (const lora of pipelineOptions.loras ?? []) {
    if (!("path" in lora)) continue;
    await add(join(dirname(lora.path), "adapter_config.json"), "the configuration beside what --lora reads");
    await addAll(lora.path, "what --lora reads");
  }
  await add(pipelineOptions.libraryPath, "the library of ONNX Runtime");
  await add(pipelineOptions.unet, "what --unet reads");
  await add(latents, "what --latents reads");
  for (const image of images) await add(await localPath(image), "the picture itself");
  return files;
}

/** A path that exists, or where the cache has the files of a model of the hub. */
async function modelPath(model: string, { hub }: FromPretrainedOptions): Promise<string | undefined> {
  try {
    const found = await findModel(model, hub?.revision);
    if ("path" in found) return found.path;
    return repositoryFolders(hub?.cacheFolder ?? defaultCacheFolder(), found.repository).snapshots;
  } catch {
    return undefined; // opening it says what is wrong
  }
}

/** The file itself, or those in a folder and in its folders. Of what lies there only weights and configurations are read. */
async function filesBelow(path: string, depth = 1): Promise<string[]> {
  const names = await readdir(path).catch(() => undefined);
  if (names === undefined) return depth === 1 || /\.(json|safetensors)$/i.test(path) ? [path] : [];
  if (depth > deepestFolder) return [];
  const below = await Promise.all(names.map((name) => filesBelow(join(path, name), depth + 1)));
  return below.flat();
}
