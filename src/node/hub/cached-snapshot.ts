/** Is a model in the cache already, with every file that a run needs? */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Message, message, StillmotionError } from "../../errors.ts";
import { defaultRevision, type HubModel } from "../../hub/model-name.ts";
import { neededFiles, shardsOf, type Wanted } from "../../hub/needed-files.ts";
import { readJsonFile } from "../../weights/checkpoint/json-file.ts";
import { disk } from "../files/disk.ts";
import { cachedCommit, cachedRefs, fileSize, isCommit, type RepositoryFolders } from "./cache-folder.ts";

/** What the cache has of a model at a revision. */
export type CachedSnapshot =
  | { readonly state: "complete"; readonly folder: string; readonly commit: string }
  | { readonly state: "missing" | "incomplete"; readonly problem: Message };

/** Looks only at the cache. */
export async function cachedSnapshot(
  folders: RepositoryFolders,
  { repository, revision }: HubModel,
  wanted: Wanted,
): Promise<CachedSnapshot> {
  const commits = (await readdir(folders.snapshots).catch(() => [])).filter(isCommit).sort();
  const commit = (await cachedCommit(folders, revision)) ?? (await onlyCommit(folders, revision, commits));
  if (commit === undefined || !commits.includes(commit)) {
    const place = `is not in the cache ${folders.cache} at revision ${revision}`;
    if (commits.length === 0) return { state: "missing", problem: place };
    const shown = commits.slice(0, 5).join(", ");
    const choice = commits.length === 1 ? shown : `one of ${shown}${commits.length > 5 ? " and others" : ""}`;
    return { state: "incomplete", problem: `${place}, but at another commit (give ${repository}@ with ${choice})` };
  }
  const folder = join(folders.snapshots, commit);
  const problem = await snapshotProblem(folder, await filesIn(folder), wanted, repository);
  if (problem === undefined) return { state: "complete", folder, commit };
  return { state: "incomplete", problem: message`is not complete in the cache ${folders.cache} (${problem})` };
}

/**
 * The only snapshot, where nothing says which revision it is of: a cache that was copied without its refs. It is taken for
 * the default revision.
 */
async function onlyCommit(
  folders: RepositoryFolders,
  revision: string,
  commits: readonly string[],
): Promise<string | undefined> {
  const isTheOnly = commits.length === 1 && (await cachedRefs(folders)).length === 0;
  return isTheOnly && revision === defaultRevision ? commits[0] : undefined;
}

/** What keeps a snapshot's folder from being used; undefined when nothing does. */
export async function snapshotProblem(
  folder: string,
  paths: readonly string[],
  wanted: Wanted,
  where: string,
): Promise<Message | undefined> {
  try {
    const { configurations, indexes, weights } = neededFiles(paths, wanted, where);
    const needed = [...configurations, ...indexes, ...weights];
    for (const index of indexes) needed.push(...shardsOf(await readJsonFile(disk, join(folder, index)), index, where));
    for (const path of needed) {
      if ((await fileSize(join(folder, path))) === undefined) return `${path} is missing`;
    }
    return undefined;
  } catch (error) {
    if (error instanceof StillmotionError) return withoutStart(error.said, `${where}: `);
    throw error;
  }
}

function withoutStart(said: Message, start: string): Message {
  if (typeof said === "string") return said.replace(start, "");
  const [first = "", ...others] = said;
  return [typeof first === "string" ? first.replace(start, "") : first, ...others];
}

/** Paths of a snapshot's files, with slashes: its own, and those one folder down. */
export async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const paths: string[] = [];
  for (const entry of entries) {
    if (!entry.isDirectory()) paths.push(entry.name);
    else for (const name of await readdir(join(folder, entry.name))) paths.push(`${entry.name}/${name}`);
  }
  return paths.sort();
}
