/** How do several files come at once? A few downloads side by side, each linked into the snapshot when it is whole. */
import { message, option, StillmotionError, throwIfAborted } from "../../errors.ts";
import type { HubAccess } from "../../hub/hub-request.ts";
import type { HubFile } from "../../hub/list-files.ts";
import { type DownloadEvent, progressOf } from "../../hub/progress.ts";
import { fileSystemReason } from "../files/file-system-errors.ts";
import { createFolders, fileSize, linkBlob, type RepositoryFolders, snapshotPath } from "./cache-folder.ts";
import { assertSpace } from "./disk-space.ts";
import { blobPath, downloadBlob, fileError, partialPath } from "./download-file.ts";

const parallelDownloads = 4;

export interface FilesToDownload {
  readonly repository: string;
  readonly commit: string;
  readonly folders: RepositoryFolders;
  readonly files: readonly HubFile[];
  readonly onProgress: (event: DownloadEvent) => void;
}

/** Brings files into a snapshot. Those that are there already are left as they are. */
export async function downloadFiles(hub: HubAccess, job: FilesToDownload): Promise<void> {
  const { repository: name, commit, folders, onProgress } = job;
  const missing: HubFile[] = [];
  for (const file of job.files) {
    if ((await fileSize(snapshotPath(folders, commit, file.path))) !== file.sizeBytes) missing.push(file);
  }
  if (missing.length === 0) return;
  await createFolders(folders).catch((cause) => {
    const problem = message`${folders.cache}: cannot be written (${fileSystemReason(cause)}); choose another folder for the cache (HF_HOME, or the option ${option("cacheFolder")})`;
    throw new StillmotionError("output", problem, { cause });
  });
  let neededBytes = 0;
  for (const file of missing) neededBytes += await bytesLeft(folders, file);
  if (neededBytes > 0) await assertSpace(folders.blobs, neededBytes);
  for (const { path, sizeBytes } of missing) onProgress({ status: "initiate", name, file: path, total: sizeBytes });

  const failure = new AbortController();
  const signal = hub.signal ? AbortSignal.any([hub.signal, failure.signal]) : failure.signal;
  const queue = [...missing].sort((one, other) => other.sizeBytes - one.sizeBytes);
  let firstError: unknown;
  const work = async () => {
    for (let file = queue.shift(); file && !failure.signal.aborted; file = queue.shift()) {
      try {
        await downloadOne({ ...hub, signal }, job, file);
      } catch (error) {
        firstError ??= fileError(error, folders.cache, file);
        failure.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: parallelDownloads }, work));
  throwIfAborted(hub.signal);
  if (firstError !== undefined) throw firstError;
}

async function downloadOne(hub: HubAccess, job: FilesToDownload, file: HubFile): Promise<void> {
  const { repository, commit, folders, onProgress } = job;
  const { path, sizeBytes } = file;
  onProgress({ status: "download", name: repository, file: path });
  const isNew = (await fileSize(blobPath(folders, file))) !== sizeBytes;
  const onLoaded = progressOf(repository, path, sizeBytes, onProgress);
  const blob = await downloadBlob(hub, { repository, commit, file, folders, onLoaded });
  await linkBlob(blob, snapshotPath(folders, commit, path), isNew);
  onProgress({ status: "done", name: repository, file: path });
}

/** 0 for a blob that is in the cache already, under another commit or name. */
async function bytesLeft(folders: RepositoryFolders, file: HubFile): Promise<number> {
  if ((await fileSize(blobPath(folders, file))) === file.sizeBytes) return 0;
  return Math.max(0, file.sizeBytes - ((await fileSize(partialPath(folders, file))) ?? 0));
}
