/** Where does the Hugging Face cache keep what? The layout that Python's huggingface_hub reads and writes. */
import { copyFile, mkdir, readdir, readFile, readlink, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { assertPlainFileName } from "../../weights/names/file-names.ts";

/** The folders of one repository in the cache. */
export interface RepositoryFolders {
  readonly cache: string;
  /** `models--org--name`. */
  readonly name: string;
  readonly root: string;
  readonly blobs: string;
  readonly snapshots: string;
  readonly refs: string;
  /** Of the whole cache, one folder a repository. */
  readonly locks: string;
}

/** Where Python keeps its cache when nothing says otherwise. */
export function defaultCacheFolder(): string {
  return join(homedir(), ".cache", "huggingface", "hub");
}

/** huggingface_hub 2.4.0 file_download.py `repo_folder_name`. */
export function repositoryFolders(cacheFolder: string, repository: string): RepositoryFolders {
  const cache = resolve(cacheFolder);
  const name = ["models", ...repository.split("/")].join("--");
  assertPlainFileName(name, repository);
  const root = join(cache, name);
  const inside = (folder: string) => join(root, folder);
  const locks = join(cache, ".locks", name);
  return { cache, name, root, blobs: inside("blobs"), snapshots: inside("snapshots"), refs: inside("refs"), locks };
}

/** The path in a snapshot for a path in the repository. Throws unless each part of it is a plain file name. */
export function snapshotPath(folders: RepositoryFolders, commit: string, path: string): string {
  const parts = path.split("/");
  for (const part of parts) assertPlainFileName(part, `${folders.name}: the hub`);
  return join(folders.snapshots, commit, ...parts);
}

export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

/** The commit that was last downloaded for a revision. */
export async function cachedCommit(folders: RepositoryFolders, revision: string): Promise<string | undefined> {
  if (isCommit(revision)) return revision;
  const text = await readFile(join(folders.refs, ...revision.split("/")), "utf8").catch(() => "");
  return isCommit(text.trim()) ? text.trim() : undefined;
}

/** The branches and tags that the cache has commits for. */
export async function cachedRefs({ refs }: RepositoryFolders): Promise<{ name: string; commit: string }[]> {
  const entries = await readdir(refs, { recursive: true, withFileTypes: true }).catch(() => []);
  const found = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      const name = relative(refs, path).split(sep).join("/");
      return { name, commit: (await readFile(path, "utf8").catch(() => "")).trim() };
    });
  return (await Promise.all(found)).sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** huggingface_hub 2.4.0 file_download.py `_cache_commit_hash_for_specific_revision`. */
export async function writeRef(folders: RepositoryFolders, revision: string, commit: string): Promise<void> {
  if (revision === commit || (await cachedCommit(folders, revision)) === commit) return;
  const path = join(folders.refs, ...revision.split("/"));
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${crypto.randomUUID().slice(0, 8)}.tmp`;
  await writeFile(temporary, commit);
  await rename(temporary, path);
}

/** Creates the folders, and marks the cache for backup programs as Python does (bford.info/cachedir). */
export async function createFolders({ cache, blobs, snapshots, locks }: RepositoryFolders): Promise<void> {
  for (const folder of [blobs, snapshots, locks]) await mkdir(folder, { recursive: true });
  const tag = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of models that can be downloaded again.\n";
  await writeFile(join(cache, "CACHEDIR.TAG"), tag, { flag: "wx" }).catch(() => {});
}

/**
 * Gives a blob its name in a snapshot: a relative link, as Python makes it. Where links cannot be made, a blob that was
 * just downloaded is moved there, and one that was there before is copied.
 */
export async function linkBlob(blob: string, path: string, isNew: boolean, makeLink = symlink): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const target = relative(dirname(path), blob);
  if ((await readlink(path).catch(() => undefined)) === target) return;
  const temporary = join(dirname(path), `.${crypto.randomUUID().slice(0, 8)}.tmp`);
  try {
    await makeLink(target, temporary);
  } catch {
    if (isNew) return rename(blob, path);
    await copyFile(blob, temporary);
  }
  await rename(temporary, path).finally(() => rm(temporary, { force: true }));
}

/** Bytes of the file behind a path, links followed; undefined when there is none. */
export async function fileSize(path: string): Promise<number | undefined> {
  return stat(path).then(
    (stats) => (stats.isFile() ? stats.size : undefined),
    () => undefined,
  );
}

/** True when a path is a folder's own, however it is written. */
export function isInside(folder: string, path: string): boolean {
  return resolve(path).startsWith(resolve(folder) + sep);
}
