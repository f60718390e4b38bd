/** Which files does a repository have at a revision, how long are they and what are their checksums? */
import { z } from "zod";
import { parseJsonObject } from "../json/json-reader.ts";
import { printable } from "../printable.ts";
import { hubError, statusError, TransientHubError } from "./hub-errors.ts";
import { connectionError, type HubAccess, requestFromHub, withRetries } from "./hub-request.ts";
import type { HubModel } from "./model-name.ts";

/** A file as the hub publishes it. */
export interface HubFile {
  /** In the repository, with slashes. */
  readonly path: string;
  readonly sizeBytes: number;
  /** SHA-256 of a large file, git's SHA-1 of a small one, in hexadecimal: the etag, and the blob's name in the cache. */
  readonly hash: string;
}

/** A repository at one commit. */
export interface Listing {
  readonly commit: string;
  readonly files: ReadonlyMap<string, HubFile>;
}

const maxListingBytes = 25_000_000;

const repositorySchema = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(
    z.object({
      rfilename: z.string(),
      size: z.int().nonnegative().nullish(),
      blobId: z
        .string()
        .regex(/^[0-9a-f]{40}$/)
        .nullish(),
      lfs: z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().nonnegative() }).nullish(),
    }),
  ),
});

/** Asks the hub once: `GET /api/models/{repository}/revision/{revision}?blobs=true`. */
export async function listFiles(
  hub: HubAccess,
  { repository, revision }: HubModel,
  { maxTries = 5 } = {},
): Promise<Listing> {
  const url = `${hub.endpoint}/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const bytes = await withRetries(
    hub,
    async () => {
      const { response, host, isHub, received, close } = await requestFromHub(hub, url, repository);
      try {
        if (response.status !== 200) {
          await response.body?.cancel();
          throw statusError(response.status, response.headers, host, {
            repository,
            revision,
            hasToken: hub.token !== undefined,
            isHub,
          });
        }
        return await readBody(response, received, repository);
      } catch (cause) {
        throw connectionError(cause, hub, repository, host);
      } finally {
        close();
      }
    },
    { maxTries },
  );
  return parseListing(bytes, repository, new URL(hub.endpoint).host);
}

function parseListing(bytes: Uint8Array, repository: string, host: string): Listing {
  const expected = `expected its files with sizes and checksums; is ${host} a Hugging Face hub?`;
  const parsed = repositorySchema.safeParse(jsonOrUndefined(bytes));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue?.path.length ? ` (${printable(issue.path.join("."))}: ${printable(issue.message)})` : "";
    throw hubError(`${repository}: ${host} gave no list of files${place}; ${expected}`);
  }
  const files = new Map<string, HubFile>();
  for (const { rfilename: path, size, blobId, lfs } of parsed.data.siblings) {
    const hash = lfs?.sha256 ?? blobId;
    const sizeBytes = lfs?.size ?? size;
    if (hash != null && sizeBytes != null) files.set(path, { path, sizeBytes, hash });
  }
  if (files.size === 0 && parsed.data.siblings.length > 0) {
    throw hubError(`${repository}: ${host} lists files without checksums; ${expected}`);
  }
  return { commit: parsed.data.sha, files };
}

function jsonOrUndefined(bytes: Uint8Array): unknown {
  try {
    return parseJsonObject(bytes, "the list of files");
  } catch {
    return undefined;
  }
}

async function readBody(response: Response, received: () => void, repository: string): Promise<Uint8Array> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let total = 0;
  for await (const piece of response.body ?? []) {
    received();
    total += piece.length;
    if (total > maxListingBytes)
      throw hubError(`${repository}: its list of files is longer than ${maxListingBytes} bytes`);
    pieces.push(piece);
  }
  const announced = response.headers.get("content-length");
  if (announced !== null && Number(announced) !== total) {
    throw new TransientHubError(`${repository}: the list of files came as ${total} bytes, expected ${announced}`);
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}
