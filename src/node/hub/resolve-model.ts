/** Where is the folder of a model with this name? Here already, in the cache, or there after a download. */
import { join } from "node:path";
import { message, option, StillmotionError, throwIfAborted } from "../../errors.ts";
import { hubError, KnownModelError, TransientHubError } from "../../hub/hub-errors.ts";
import type { HubOptions } from "../../hub/hub-options.ts";
import { checkEndpoint, type HubAccess } from "../../hub/hub-request.ts";
import { knownCheckpoint } from "../../hub/known-checkpoints.ts";
import { type Listing, listFiles } from "../../hub/list-files.ts";
import type { HubModel } from "../../hub/model-name.ts";
import { neededFiles, shardsOf, type Wanted } from "../../hub/needed-files.ts";
import type { DownloadEvent } from "../../hub/progress.ts";
import { readJsonFile } from "../../weights/checkpoint/json-file.ts";
import { checkModelIndex } from "../../weights/names/class-names.ts";
import type { Component } from "../../weights/types.ts";
import { disk } from "../files/disk.ts";
import {
  defaultCacheFolder,
  isCommit,
  type RepositoryFolders,
  repositoryFolders,
  snapshotPath,
  writeRef,
} from "./cache-folder.ts";
import { type CachedSnapshot, cachedSnapshot } from "./cached-snapshot.ts";
import { downloadFiles } from "./download-files.ts";
import { findModel } from "./find-model.ts";
import { noSuchPath } from "./nearest-path.ts";

/** How a model of the hub is found and downloaded. */
export interface ResolveModelOptions extends HubOptions {
  /** Weights to fetch where a checkpoint has several: `fp16` takes `*.fp16.safetensors`. Default: the plain ones. */
  readonly variant?: string | undefined;
  /** Components whose weights are not needed: a UNet that another file has, for instance. Default: none. */
  readonly withoutWeights?: readonly Component["name"][] | undefined;
}

/**
 * Finds a model by name and downloads what is missing of it.
 *
 * @param name a folder or file that exists; or `org/name`, `svd`, `svd-xt` or `svd-xt-1.1`, each with `@revision` if wanted
 * @returns the path that exists, or the snapshot's folder in the Hugging Face cache, which Python's libraries read too
 * @throws StillmotionError `invalid-checkpoint` for a name that means nothing, `download` for what the hub does not have or does
 *   not give, `invalid-option`, `output` when there is no space, `aborted`
 *
 * @example
 * const folder = await resolveModel("svd-xt", { variant: "fp16", onProgress: ({ status }) => console.log(status) });
 */
export async function resolveModel(name: string, options: ResolveModelOptions = {}): Promise<string> {
  const { revision, localFilesOnly = false, signal, onProgress = () => {} } = options;
  const found = await findModel(name, revision);
  if ("path" in found) return found.path;
  throwIfAborted(signal);
  const folders = repositoryFolders(options.cacheFolder ?? defaultCacheFolder(), found.repository);
  const cached = await cachedSnapshot(folders, found, options);
  const isFinal = localFilesOnly || (isCommit(found.revision) && cached.state === "complete");
  const hub = hubAccess(options);
  const look = async () =>
    (isFinal ? undefined : await listOrFallBack(hub, found, cached)) ?? folderOf(cached, found, name);
  const known = await (cached.state === "missing" ? sayingThatNoPathIsHere(name, found, look) : look());
  const folder =
    typeof known === "string" ? known : await downloadSnapshot(hub, folders, found, known, options, onProgress);
  onProgress({ status: "ready", name: found.repository, task: "image-to-video", model: found.repository });
  return folder;
}

function hubAccess(options: ResolveModelOptions): HubAccess {
  const { token } = options;
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new StillmotionError(
      "invalid-option",
      message`${option("token")} has a character that no token has; expected one such as hf_...`,
    );
  }
  return {
    endpoint: checkEndpoint(options.endpoint ?? "https://huggingface.co"),
    token,
    fetch: options.fetch ?? globalThis.fetch,
    signal: options.signal,
    retryDelayMs: options.retryDelayMs ?? 500,
    stallTimeoutMs: options.stallTimeoutMs ?? 30_000,
  };
}

function folderOf(cached: CachedSnapshot, { repository }: HubModel, name: string): string {
  if (cached.state === "complete") return cached.folder;
  const mend = `run "stillmotion models pull ${name}" while there is a network`;
  throw hubError(
    message`${repository} ${cached.problem}, and nothing may be downloaded here (as with ${option("localFilesOnly")} or HF_HUB_OFFLINE); ${mend}`,
  );
}

/** What was looked up on the hub may have been meant for a path. */
async function sayingThatNoPathIsHere<Result>(
  name: string,
  { repository }: HubModel,
  look: () => Promise<Result>,
): Promise<Result> {
  try {
    return await look();
  } catch (error) {
    const isAboutModel = knownCheckpoint(repository) !== undefined || error instanceof KnownModelError;
    if (!(error instanceof StillmotionError) || error.code !== "download" || isAboutModel) throw error;
    throw hubError(message`${await noSuchPath(name)}, and as a model of the hub: ${error.said}`, error);
  }
}

/** The list of files; undefined when the hub cannot be reached and the cache has all that is needed. */
async function listOrFallBack(hub: HubAccess, model: HubModel, cached: CachedSnapshot): Promise<Listing | undefined> {
  const isCached = cached.state === "complete";
  try {
    return await listFiles(hub, model, isCached ? { maxTries: 1 } : {});
  } catch (error) {
    if (error instanceof TransientHubError && isCached) return undefined;
    throw error;
  }
}

/**
 * First what tells whether this is a checkpoint at all, then its weights. The revision points here at the end: until then
 * an older commit that is whole goes on being used where there is no network.
 */
async function downloadSnapshot(
  hub: HubAccess,
  folders: RepositoryFolders,
  { repository, revision }: HubModel,
  listing: Listing,
  wanted: Wanted,
  onProgress: (event: DownloadEvent) => void,
): Promise<string> {
  const { commit, files } = listing;
  const { configurations, indexes, weights } = neededFiles([...files.keys()], wanted, repository);
  const folder = join(folders.snapshots, commit);
  const download = async (paths: readonly string[]) => {
    const wanted = paths.map((path) => {
      snapshotPath(folders, commit, path); // refuses a name that leads elsewhere
      const file = files.get(path);
      if (!file)
        throw hubError(`${repository}: lacks ${path}, which its index of weights names; the upload is incomplete`);
      return file;
    });
    await downloadFiles(hub, { repository, commit, folders, files: wanted, onProgress });
  };
  await download([...configurations, ...indexes]);
  const modelIndex = join(folder, "model_index.json");
  checkModelIndex(await readJsonFile(disk, modelIndex), `${repository}: model_index.json`);
  const shards: string[] = [];
  for (const index of indexes)
    shards.push(...shardsOf(await readJsonFile(disk, join(folder, index)), index, repository));
  await download([...weights, ...shards]);
  await writeRef(folders, revision, commit).catch(() => {}); // a cache that is whole may be read-only
  return folder;
}
