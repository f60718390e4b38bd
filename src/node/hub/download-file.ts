/** How does one file come from the hub? Piece by piece after what is there already, and named only when its checksum is right. */
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { message, option, StillmotionError, throwIfAborted } from "../../errors.ts";
import { hubError, statusError, TransientHubError } from "../../hub/hub-errors.ts";
import { connectionError, type HubAccess, type HubAnswer, requestFromHub, withRetries } from "../../hub/hub-request.ts";
import type { HubFile } from "../../hub/list-files.ts";
import { printable } from "../../printable.ts";
import { fileSystemReason } from "../files/file-system-errors.ts";
import { type BlobHash, blobHash, updateFromFile } from "./blob-hash.ts";
import { fileSize, type RepositoryFolders } from "./cache-folder.ts";
import { noSpaceError } from "./disk-space.ts";
import { withLock } from "./lock.ts";

/** One file of a repository at a commit. */
export interface FileToDownload {
  readonly repository: string;
  readonly commit: string;
  readonly file: HubFile;
  readonly folders: RepositoryFolders;
  /** Hears how many bytes are there, now and then. */
  readonly onLoaded: (loaded: number) => void;
}

/** So many bytes make a new start for the counting of tries. */
const worthwhileBytes = 1 << 20;

/**
 * Brings a blob into the cache. What an earlier, interrupted call left is continued.
 *
 * @returns the blob's path
 */
export async function downloadBlob(hub: HubAccess, job: FileToDownload): Promise<string> {
  const { file, folders } = job;
  const blob = blobPath(folders, file);
  const lock = join(folders.locks, `${file.hash}.stillmotion.lock`);
  return withLock(lock, hub.signal, async () => {
    if ((await fileSize(blob)) === file.sizeBytes) return blob; // another process was faster
    const partial = partialPath(folders, file);
    try {
      await downloadPartial(hub, job, partial);
      await rename(partial, blob);
    } catch (cause) {
      throwIfAborted(hub.signal);
      if ((await fileSize(partial)) === 0) await rm(partial, { force: true });
      throw cause;
    }
    return blob;
  });
}

export function blobPath({ blobs }: RepositoryFolders, { hash }: HubFile): string {
  return join(blobs, hash);
}

/** Not the name that Python takes, whose lock we cannot hold. */
export function partialPath({ blobs }: RepositoryFolders, { hash }: HubFile): string {
  return join(blobs, `${hash}.stillmotion.incomplete`);
}

/** A download of one file as it goes on. */
interface Partial {
  readonly handle: FileHandle;
  loaded: number;
  hash: BlobHash;
  /** The etag of the store that sent the last piece, with its host. */
  store: { host: string; etag: string } | undefined;
}

async function downloadPartial(hub: HubAccess, job: FileToDownload, path: string): Promise<void> {
  const { file } = job;
  const handle = await open(path, "r+").catch(() => open(path, "w+"));
  try {
    const partial: Partial = { handle, loaded: (await handle.stat()).size, hash: newHash(file), store: undefined };
    if (partial.loaded > file.sizeBytes) await startAgain(partial, file);
    await updateFromFile(partial.hash, handle, partial.loaded, hub.signal);
    job.onLoaded(partial.loaded);
    for (let round = 0; ; round++) {
      await fetchRest(hub, job, partial);
      const digest = partial.hash.digest();
      if (digest === file.hash) break;
      await startAgain(partial, file);
      if (round === 0) continue; // what an earlier call left may have been wrong
      throw hubError(
        `${job.repository}: ${printable(file.path)} arrived damaged twice: its checksum is ${digest}, the hub publishes ${file.hash}; try again later, or on another network`,
      );
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function fetchRest(hub: HubAccess, job: FileToDownload, partial: Partial): Promise<void> {
  let countedAt = partial.loaded;
  const gained = () => {
    const isWorthwhile = partial.loaded - countedAt >= worthwhileBytes;
    if (isWorthwhile) countedAt = partial.loaded;
    return isWorthwhile;
  };
  const attempt = async () => {
    if (partial.loaded === job.file.sizeBytes) return;
    await fetchPiece(hub, job, partial);
  };
  await withRetries(hub, attempt, { gained });
}

/** One request, for all that is missing. */
async function fetchPiece(hub: HubAccess, job: FileToDownload, partial: Partial): Promise<void> {
  const { repository, commit, file } = job;
  const what = `${repository}: ${printable(file.path)}`;
  const path = file.path.split("/").map(encodeURIComponent).join("/");
  const url = `${hub.endpoint}/${repository}/resolve/${commit}/${path}`;
  const answer = await requestFromHub(hub, url, what, (isHub) => rangeHeaders(partial, file, isHub));
  const { response, host, isHub } = answer;
  try {
    if (response.status === 416) await startAgain(partial, file);
    if (response.status !== 200 && response.status !== 206) {
      await response.body?.cancel();
      const asked = { repository, revision: commit, file: file.path, hasToken: hub.token !== undefined, isHub };
      throw statusError(response.status, response.headers, host, asked);
    }
    checkPublished(answer, file, what);
    await placeOf(answer, partial, file, what);
    await writeBody(answer, partial, job, what);
  } catch (cause) {
    throw connectionError(cause, hub, what, host);
  } finally {
    answer.close();
    if (!response.bodyUsed) await response.body?.cancel().catch(() => {});
  }
}

function rangeHeaders({ loaded, store }: Partial, { hash }: HubFile, isHub: boolean): Record<string, string> {
  if (loaded === 0) return {};
  // The hub's own etag is the checksum; a file store has one of its own, known after its first answer.
  const etag = isHub ? `"${hash}"` : store?.etag;
  return { range: `bytes=${loaded}-`, ...(etag !== undefined && { "if-range": etag }) };
}

/** Is it still the file that was listed? */
function checkPublished({ hubHeaders, response, host }: HubAnswer, file: HubFile, what: string): void {
  const isOwn = hubHeaders === response.headers;
  const etag = hubHeaders.get("x-linked-etag") ?? (isOwn ? hubHeaders.get("etag") : null);
  const published = etag?.replace(/^W\//, "").replaceAll('"', "");
  if (published !== undefined && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(published) && published !== file.hash) {
    throw hubError(
      `${what} changed on ${host} since the list of files was made: its checksum is ${published} now, was ${file.hash}; run it again`,
    );
  }
}

/** Makes ready for the body: it continues the file, or the file begins again. */
async function placeOf({ response, host }: HubAnswer, partial: Partial, file: HubFile, what: string): Promise<void> {
  const etag = response.headers.get("etag");
  const store = etag !== null && !etag.startsWith("W/") ? { host, etag } : undefined;
  if (response.status === 200)
    await startAgain(partial, file); // no ranges here, or the file is another one
  else {
    const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get("content-range") ?? "");
    const isAnother = partial.store?.host === host && store !== undefined && partial.store.etag !== store.etag;
    const fits =
      range !== null && Number(range[1]) === partial.loaded && [`${file.sizeBytes}`, "*"].includes(range[3]!);
    if (!fits || isAnother) {
      await startAgain(partial, file);
      const got = isAnother ? "a piece of another version" : `the piece ${response.headers.get("content-range")}`;
      throw new TransientHubError(`${what}: ${host} sent ${printable(got)}; it was started again`);
    }
  }
  partial.store = store;
  const announced = response.headers.get("content-length");
  const expected = file.sizeBytes - partial.loaded;
  if (announced !== null && Number(announced) !== expected) {
    throw new TransientHubError(
      `${what}: ${host} announces ${announced} bytes, expected ${expected}: wrong length; try again later`,
    );
  }
}

async function writeBody(
  { response, host, received }: HubAnswer,
  partial: Partial,
  { file, folders, onLoaded }: FileToDownload,
  what: string,
): Promise<void> {
  for await (const piece of response.body ?? []) {
    received();
    if (partial.loaded + piece.length > file.sizeBytes) {
      await startAgain(partial, file);
      throw new TransientHubError(
        `${what}: ${host} sent more than the ${file.sizeBytes} bytes of the file: wrong length`,
      );
    }
    await writeAll(partial.handle, piece, partial.loaded).catch((cause) => {
      throw fileError(cause, folders.cache, file);
    });
    partial.hash.update(piece);
    partial.loaded += piece.length;
    onLoaded(partial.loaded);
  }
  if (partial.loaded < file.sizeBytes) {
    throw new TransientHubError(
      `${what}: ${host} ended after ${partial.loaded} of ${file.sizeBytes} bytes: wrong length; run it again to go on from there`,
    );
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

async function startAgain(partial: Partial, file: HubFile): Promise<void> {
  await partial.handle.truncate(0);
  partial.loaded = 0;
  partial.hash = newHash(file);
  partial.store = undefined;
}

function newHash({ hash, sizeBytes }: HubFile): BlobHash {
  return blobHash(hash, sizeBytes)!; // its form was checked when the files were listed
}

/** The error for what went wrong in the cache; what went wrong at the hub stays as it is. */
export function fileError(cause: unknown, cache: string, { path, sizeBytes }: HubFile): unknown {
  if (cause instanceof StillmotionError) return cause;
  const { code } = cause as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") return noSpaceError(cache, sizeBytes, undefined, cause);
  const problem = message`${cache}: ${printable(path)} cannot be written (${fileSystemReason(cause)}); choose another folder for the cache (HF_HOME, or the option ${option("cacheFolder")})`;
  return new StillmotionError("output", problem, { cause });
}
