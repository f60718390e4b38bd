/** What does each test of the hub start from? A hub that serves one of the test checkpoints, and an empty cache. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { onTestFinished } from "vitest";
import type { DownloadEvent } from "../../../src/hub/progress.ts";
import { type ResolveModelOptions, resolveModel } from "../../../src/node/hub/resolve-model.ts";
import { type FakeHub, repository, startHub } from "./fake-hub.ts";

export interface Scene {
  readonly hub: FakeHub;
  readonly cacheFolder: string;
  readonly events: DownloadEvent[];
  /** Resolves the served repository, or another name. */
  resolve(options?: ResolveModelOptions & { name?: string }): Promise<string>;
  /** Paths below the repository's folder in the cache. */
  cached(): Promise<string[]>;
}

export async function scene(checkpoint = "two-levels-fp32"): Promise<Scene> {
  const hub = await startHub(join("test/checkpoints", checkpoint));
  const cacheFolder = await emptyFolder();
  onTestFinished(() => hub.close());
  const events: DownloadEvent[] = [];
  return {
    hub,
    cacheFolder,
    events,
    resolve: ({ name = repository, ...options } = {}) =>
      resolveModel(name, {
        endpoint: hub.endpoint,
        cacheFolder,
        retryDelayMs: 1,
        onProgress: (event) => events.push(event),
        ...options,
      }),
    cached: () => pathsBelow(join(cacheFolder, `models--${repository.replace("/", "--")}`)),
  };
}

export async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "stillmotion-hub-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Files and links, no folders. */
export async function pathsBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => !entry.isDirectory());
  return files.map((entry) => relative(folder, join(entry.parentPath, entry.name))).sort();
}

/** The message of the error that a promise ends with. */
export async function messageOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "no error",
    (error: Error) => error.message,
  );
}
