/** Is a file what the hub published? Large files go by SHA-256, small ones by git's SHA-1 of a blob. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { stat } from "node:fs/promises";
import { throwIfAborted } from "../../errors.ts";

export interface BlobHash {
  update(bytes: Uint8Array): void;
  /** Hexadecimal. */
  digest(): string;
}

/** The hash that a published checksum of this form is compared with; undefined for no known form. */
export function blobHash(published: string, sizeBytes: number): BlobHash | undefined {
  if (/^[0-9a-f]{64}$/.test(published)) return wrap(createHash("sha256"));
  if (!/^[0-9a-f]{40}$/.test(published)) return undefined;
  // git-scm.com/book "Git Internals: Git Objects": the header is part of what is hashed.
  return wrap(createHash("sha1").update(`blob ${sizeBytes}\0`));
}

function wrap(hash: ReturnType<typeof createHash>): BlobHash {
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
}

/** True when the file has the published checksum, undefined when that is of no known form. */
export async function hasHash(path: string, published: string, signal?: AbortSignal): Promise<boolean | undefined> {
  const hash = blobHash(published, (await stat(path)).size);
  if (!hash) return undefined;
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20, signal })) hash.update(piece);
  return hash.digest() === published;
}

/** Takes the first `sizeBytes` of an open file. */
export async function updateFromFile(
  hash: BlobHash,
  file: FileHandle,
  sizeBytes: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const buffer = Buffer.alloc(Math.min(sizeBytes, 1 << 20));
  for (let position = 0; position < sizeBytes; ) {
    throwIfAborted(signal);
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, sizeBytes - position), position);
    if (bytesRead === 0) return;
    hash.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}
