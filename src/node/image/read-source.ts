/** How are the bytes of a picture read? From a path, a URL, a Blob or memory, and never more of them than allowed. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { abortedError, inCall, type Message, message, option, StillmotionError, throwIfAborted } from "../../errors.ts";

/** A path, an http(s), file or data URL, the file's bytes, or a Blob. */
export type ImageSource = string | URL | Uint8Array | ArrayBuffer | Blob;

export interface ReadLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** The bytes, and a name for them in messages. */
export interface SourceBytes {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Reads all bytes of a source. Throws `invalid-image` when there are none or too many, or when they cannot be read. */
export async function readSource(source: ImageSource, limits: ReadLimits): Promise<SourceBytes> {
  throwIfAborted(limits.signal);
  const read = await readAny(source, limits);
  if (read.bytes.length === 0)
    throw fail(read.name, "is empty (0 bytes), expected a JPEG, PNG, WebP, AVIF or GIF file");
  return read;
}

async function readAny(source: ImageSource, limits: ReadLimits): Promise<SourceBytes> {
  if (source instanceof Uint8Array || source instanceof ArrayBuffer) return copyBytes(source, limits);
  if (source instanceof Blob) return readBlob(source, limits);
  if (source instanceof URL) return readPlace(placeOfUrl(source, source.href), source.href, limits);
  if (source === "") throw fail('""', "got an empty string, expected a path or a URL");
  if (typeof source !== "string") {
    const got = source === null ? "null" : typeof source;
    throw new StillmotionError(
      "invalid-image",
      message`${inCall("loadImage")}got ${got}, expected a path, a URL, the file's bytes (Uint8Array, ArrayBuffer) or a Blob`,
    );
  }
  return readPlace(await placeOf(source), source, limits);
}

type Place = { readonly path: string } | { readonly url: URL };

/** What text stands for: the file of that name where there is one, else a URL of a known scheme, else a path. */
async function placeOf(source: string): Promise<Place> {
  if (await exists(source)) return { path: source };
  const known = /^(https?|file|data):/i.test(source);
  // A scheme has at least two letters here, so that C:\photo.png is a path.
  if (!known && !/^[a-z][a-z0-9+.-]+:\/\//i.test(source)) return { path: source };
  if (URL.canParse(source)) return placeOfUrl(new URL(source), source);
  throw fail(sourceName(source), "is no file here and no valid URL; check its spelling");
}

function placeOfUrl(url: URL, source: string): Place {
  switch (url.protocol) {
    case "http:":
    case "https:":
    case "data:":
      return { url };
    case "file:":
      return { path: filePath(url, source) };
    default:
      throw fail(
        sourceName(source),
        `has the scheme ${url.protocol}, expected http, https, file or data; download it first`,
      );
  }
}

function readPlace(place: Place, source: string, limits: ReadLimits): Promise<SourceBytes> {
  return "url" in place ? readUrl(place.url, limits, sourceName(source)) : readFile(place.path, limits, source);
}

/** The file on this machine that text stands for; undefined for a file elsewhere, and for text that is refused when it is read. */
export async function localPath(source: string): Promise<string | undefined> {
  const place = await placeOf(source).catch(() => undefined);
  return place && "path" in place ? place.path : undefined;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function readBlob(blob: Blob, limits: ReadLimits): Promise<SourceBytes> {
  const name = "given as Blob";
  if (blob.size > limits.maxBytes) throw tooLarge(name, blob.size, limits);
  return { name, bytes: new Uint8Array(await blob.arrayBuffer()) };
}

async function readFile(path: string, limits: ReadLimits, name: string): Promise<SourceBytes> {
  try {
    const info = await stat(path);
    if (info.isDirectory()) throw fail(name, "is a folder, expected a file; name one picture in it");
    if (info.size > limits.maxBytes) throw tooLarge(name, info.size, limits);
    return await collect(name, createReadStream(path, { signal: limits.signal }), limits);
  } catch (error) {
    if (error instanceof StillmotionError) throw error;
    if (limits.signal?.aborted) throw abortedError(limits.signal);
    throw fail(name, reasonUnreadable(error), error);
  }
}

function reasonUnreadable(error: unknown): string {
  const code = (error as { code?: string }).code;
  if (code === "ENOENT" || code === "ENOTDIR") {
    return `was not found from ${process.cwd()}; check the path, or give it in full`;
  }
  if (code === "EACCES" || code === "EPERM") return "may not be read (permission denied); change its permissions";
  return `could not be read: ${(error as Error).message}`;
}

async function readUrl(url: URL, limits: ReadLimits, name: string): Promise<SourceBytes> {
  if (url.username !== "" || url.password !== "") {
    throw fail(name, "has a user name or password in its URL, which is not sent; download it first");
  }
  const timeout = AbortSignal.timeout(limits.timeoutMs);
  const signal = limits.signal ? AbortSignal.any([limits.signal, timeout]) : timeout;
  try {
    const response = await fetch(url, { signal });
    if (!response.ok) {
      await response.body?.cancel();
      throw fail(
        name,
        `was answered with HTTP ${response.status} ${response.statusText}, expected 200; open it in a browser`,
      );
    }
    const announced = Number(response.headers.get("content-length"));
    if (announced > limits.maxBytes) {
      await response.body?.cancel();
      throw tooLarge(name, announced, limits);
    }
    return await collect(name, response.body ?? [], limits);
  } catch (error) {
    if (error instanceof StillmotionError) throw error;
    if (limits.signal?.aborted) throw abortedError(limits.signal);
    if (timeout.aborted) {
      throw fail(
        name,
        message`did not arrive within ${limits.timeoutMs / 1000} s; try again, raise ${option("timeoutMs")}, or download it first`,
        error,
      );
    }
    const { cause, message: reason } = error as Error;
    throw fail(
      name,
      `could not be fetched: ${cause instanceof Error ? cause.message : reason}; check the address and the network`,
      error,
    );
  }
}

function filePath(url: URL, name: string): string {
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw fail(name, `is no path on this machine: ${(error as Error).message}`, error);
  }
}

/** Joins the pieces; stops reading as soon as there are too many bytes. */
async function collect(
  name: string,
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  limits: ReadLimits,
): Promise<SourceBytes> {
  const kept: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    length += piece.length;
    if (length > limits.maxBytes) throw tooLarge(name, undefined, limits);
    kept.push(piece);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of kept) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return { name, bytes };
}

/** Copies bytes, because they are decoded later, when the caller may have used their memory for something else. */
function copyBytes(source: Uint8Array | ArrayBuffer, limits: ReadLimits): SourceBytes {
  const name = "given as bytes";
  if (source.byteLength > limits.maxBytes) throw tooLarge(name, source.byteLength, limits);
  return { name, bytes: new Uint8Array(source instanceof Uint8Array ? source : source.slice(0)) };
}

function tooLarge(name: string, sizeBytes: number | undefined, { maxBytes }: ReadLimits): StillmotionError {
  const size = sizeBytes === undefined ? "is" : `is ${(sizeBytes / 1e6).toFixed(1)} MB,`;
  const problem = `${size} larger than the limit of ${maxBytes / 1e6} MB`;
  return fail(name, message`${problem}; shrink the picture, or raise ${option("maxBytes")}`);
}

/** A source for messages: as it was given, without the password and the query of a URL. */
function sourceName(source: string): string {
  if (/^data:/i.test(source)) return "in a data: URL";
  if (/^file:/i.test(source) || !/^([a-z][a-z0-9+.-]+:\/\/|https?:)/i.test(source)) return source;
  return source.replace(/[?#].*$/s, "").replace(/^([^:]+:[/\\]*)[^/\\]*@/, "$1");
}

function fail(name: string, reason: Message, cause?: unknown): StillmotionError {
  return new StillmotionError("invalid-image", message`image ${name}: ${reason}`, { cause });
}
