/** Which models does the cache hold, are their files sound, and how does one of them go? */
import { lstat, readdir, readlink, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { messageText, StillmotionError, throwIfAborted } from "../../errors.ts";
import { readOptionalJsonFile } from "../../weights/checkpoint/json-file.ts";
import { isVideoIndex } from "../../weights/names/class-names.ts";
import { variantsIn } from "../../weights/names/weights-files.ts";
import { disk } from "../files/disk.ts";
import { fileSystemReason, isMissing } from "../files/file-system-errors.ts";
import { hasHash } from "./blob-hash.ts";
import { cachedRefs, fileSize, isCommit, isInside, repositoryFolders } from "./cache-folder.ts";
import { filesIn, snapshotProblem } from "./cached-snapshot.ts";

/** One commit of a repository in the cache. */
export interface CachedRevision {
  readonly commit: string;
  /** Branches and tags that stand for this commit. */
  readonly refs: readonly string[];
  readonly folder: string;
  readonly sizeBytes: number;
  /** Variants that can be run: "" for the plain weights. */
  readonly variants: readonly string[];
  /** What keeps it from being run; undefined when nothing does. */
  readonly problem: string | undefined;
}

/** One repository in the cache. */
export interface CachedModel {
  readonly repository: string;
  readonly folder: string;
  /** Of all its files, each counted once, with what is half downloaded. */
  readonly sizeBytes: number;
  /** True when one of its revisions is a Stable Video Diffusion pipeline. */
  readonly isVideoModel: boolean;
  readonly revisions: readonly CachedRevision[];
}

/** The models of a Hugging Face cache, whoever downloaded them, in the order of their names. */
export async function cachedModels(cacheFolder: string): Promise<CachedModel[]> {
  const names = await readdir(cacheFolder).catch((cause) => {
    if (isMissing(cause)) return [];
    throw new StillmotionError("output", `${cacheFolder}: cannot be read (${fileSystemReason(cause)})`, { cause });
  });
  const models: CachedModel[] = [];
  for (const name of names.sort()) {
    const model = /^models--[\w.-]+$/.test(name) ? await cachedModel(cacheFolder, repositoryOf(name)) : undefined;
    if (model) models.push(model);
  }
  return models;
}

/** One of them; undefined when the cache does not have it. */
export async function cachedModel(cacheFolder: string, repository: string): Promise<CachedModel | undefined> {
  const folders = repositoryFolders(cacheFolder, repository);
  const stats = await lstat(folders.root).catch(() => undefined);
  if (!stats?.isDirectory()) return undefined;
  const refs = await cachedRefs(folders);
  const revisions: CachedRevision[] = [];
  let isVideoModel = false;
  for (const commit of (await namesIn(folders.snapshots)).filter(isCommit)) {
    const folder = join(folders.snapshots, commit);
    const paths = await filesIn(folder);
    isVideoModel ||= await isVideoPipeline(folder);
    const variants: string[] = [];
    let problem: string | undefined;
    for (const variant of variantNames(paths)) {
      const found = await snapshotProblem(folder, paths, { variant: variant || undefined }, repository);
      if (found === undefined) variants.push(variant);
      else problem ??= messageText(found);
    }
    revisions.push({
      commit,
      refs: refs.filter((ref) => ref.commit === commit).map(({ name }) => name),
      folder,
      sizeBytes: await sizeOf(paths.map((path) => join(folder, path))),
      variants,
      problem: variants.length > 0 ? undefined : (problem ?? "no weights yet"),
    });
  }
  const sizeBytes = await folderBytes(folders.root);
  return { repository, folder: folders.root, sizeBytes, isVideoModel, revisions };
}

/** What {@link verifyModel} found of one file. */
export interface VerifiedFile {
  readonly commit: string;
  readonly path: string;
  /** `unknown` where the cache does not say which checksum the hub published: a copy in place of a link. */
  readonly state: "sound" | "damaged" | "missing" | "unknown";
}

/**
 * Reads every file of a cached model and compares it with the checksum that the hub published, which is the name of the
 * blob it is linked to. Files that are linked twice are read once.
 */
export async function verifyModel(
  model: CachedModel,
  { signal, onFile = () => {} }: { signal?: AbortSignal; onFile?: (file: VerifiedFile) => void } = {},
): Promise<VerifiedFile[]> {
  const known = new Map<string, VerifiedFile["state"]>();
  const files: VerifiedFile[] = [];
  for (const { commit, folder } of model.revisions) {
    for (const path of await filesIn(folder)) {
      throwIfAborted(signal);
      const target = await readlink(join(folder, path)).catch(() => path);
      const checksum = basename(target);
      const state = known.get(checksum) ?? (await stateOf(join(folder, path), checksum, signal));
      if (target !== path) known.set(checksum, state);
      const file = { commit, path, state };
      files.push(file);
      onFile(file);
    }
  }
  return files;
}

/**
 * Removes a repository from the cache, with all its revisions.
 *
 * @returns the bytes that became free
 * @throws StillmotionError `invalid-option` when it is not there, `output` when it cannot be removed
 */
export async function removeModel(cacheFolder: string, repository: string): Promise<{ freedBytes: number }> {
  const folders = repositoryFolders(cacheFolder, repository);
  const stats = await lstat(folders.root).catch(() => undefined);
  if (!stats) {
    throw new StillmotionError(
      "invalid-option",
      `${repository} is not in the cache ${folders.cache}; nothing was removed`,
    );
  }
  if (!stats.isDirectory() || !isInside(folders.cache, folders.root)) {
    const problem = `${folders.root} is no folder of the cache itself (a link?); nothing was removed`;
    throw new StillmotionError("invalid-option", problem);
  }
  const freedBytes = await folderBytes(folders.root);
  try {
    await rm(folders.root, { recursive: true });
    await rm(folders.locks, { recursive: true, force: true });
  } catch (cause) {
    throw new StillmotionError("output", `${folders.root}: cannot be removed (${fileSystemReason(cause)})`, { cause });
  }
  return { freedBytes };
}

async function stateOf(
  path: string,
  checksum: string,
  signal: AbortSignal | undefined,
): Promise<VerifiedFile["state"]> {
  if ((await fileSize(path)) === undefined) return "missing";
  const isSound = await hasHash(path, checksum, signal).catch((cause) => {
    throwIfAborted(signal);
    throw new StillmotionError("output", `${path}: cannot be read (${fileSystemReason(cause)})`, { cause });
  });
  return isSound === undefined ? "unknown" : isSound ? "sound" : "damaged";
}

async function isVideoPipeline(folder: string): Promise<boolean> {
  const index = await readOptionalJsonFile(disk, join(folder, "model_index.json")).catch(() => undefined);
  return index !== undefined && isVideoIndex(index);
}

/** The variants that the UNet's files are of, else the plain one. */
function variantNames(paths: readonly string[]): string[] {
  const names = paths.filter((path) => path.startsWith("unet/")).map((path) => path.slice("unet/".length));
  const variants = [...variantsIn(names, "diffusion_pytorch_model").keys()].sort();
  return variants.length > 0 ? variants : [""];
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).sort();
}

async function sizeOf(paths: readonly string[]): Promise<number> {
  const sizes = await Promise.all(paths.map((path) => fileSize(path)));
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

/** Of the files themselves: a link counts nothing, nor does what may not be read. */
async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile()).map(({ name }) => join(folder, name));
  let sizeBytes = await sizeOf(files);
  for (const entry of entries) if (entry.isDirectory()) sizeBytes += await folderBytes(join(folder, entry.name));
  return sizeBytes;
}

/** `models--org--name` is `org/name`. */
function repositoryOf(name: string): string {
  return name.slice("models--".length).replaceAll("--", "/");
}
