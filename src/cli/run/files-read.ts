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
  /** What the run reads it as, in words. */
  readonly what: string;
}

/** Files, by their identities. */
export type FilesRead = ReadonlyMap<string, FileRead>;

export interface Inputs {
  readonly images: readonly string[];
  readonly latents: string | undefined;
  readonly model: string;
  readonly pipelineOptions: FromPretrainedOptions;
}

/** How deep folders are searched: a checkpoint's folder, those of its networks, and one more for the snapshots of a cache. */
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

/** The path that the model's name is, or the folder that the cache has for a model of the hub. */
async function modelPath(model: string, { hub }: FromPretrainedOptions): Promise<string | undefined> {
  try {
    const found = await findModel(model, hub?.revision);
    if ("path" in found) return found.path;
    return repositoryFolders(hub?.cacheFolder ?? defaultCacheFolder(), found.repository).snapshots;
  } catch {
    return undefined; // opening the model says what is wrong
  }
}

/** The file itself, or the weights and configurations in a folder and in the folders below. Nothing else there is read. */
async function filesBelow(path: string, depth = 1): Promise<string[]> {
  const names = await readdir(path).catch(() => undefined);
  if (names === undefined) return depth === 1 || /\.(json|safetensors)$/i.test(path) ? [path] : [];
  if (depth > deepestFolder) return [];
  const below = await Promise.all(names.map((name) => filesBelow(join(path, name), depth + 1)));
  return below.flat();
}
