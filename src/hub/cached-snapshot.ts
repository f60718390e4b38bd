/** Is a model in the cache already, with every file that a run needs? */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Message, message, StillmotionError } from "../errors.ts";
import { readJsonFile } from "../weights/json-file.ts";
import { cachedCommit, fileSize, type RepositoryFolders } from "./cache-folder.ts";
import type { HubModel } from "./model-name.ts";
import { neededFiles, shardsOf, type Wanted } from "./needed-files.ts";

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
  const commit = await cachedCommit(folders, revision);
  const folder = commit === undefined ? undefined : join(folders.snapshots, commit);
  const paths = folder === undefined ? [] : await filesIn(folder);
  if (commit === undefined || folder === undefined || paths.length === 0) {
    const isBegun = (await readdir(folders.snapshots).catch(() => [])).length > 0;
    const place = isBegun ? `is in the cache ${folders.cache}, but not whole` : `is not in the cache ${folders.cache}`;
    return { state: "missing", problem: `${place} at revision ${revision}` };
  }
  const problem = await snapshotProblem(folder, paths, wanted, repository);
  if (problem === undefined) return { state: "complete", folder, commit };
  return { state: "incomplete", problem: message`is not complete in the cache ${folders.cache} (${problem})` };
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
    for (const index of indexes) needed.push(...shardsOf(await readJsonFile(join(folder, index)), index, where));
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
