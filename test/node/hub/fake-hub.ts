/** What do the tests talk to? A hub on this machine that serves folders as repositories, and misbehaves where it is told to. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join, relative, sep } from "node:path";

/** A file of a served repository. */
export interface ServedFile {
  readonly bytes: Buffer;
  /** As `git lfs` keeps it: with a SHA-256, and sent by the file store. */
  readonly isLarge: boolean;
}

export interface HubRequest {
  readonly host: "hub" | "store";
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
}

/** Answers in place of the hub, or gives undefined to let it answer. */
export type Misbehaviour = (request: HubRequest, response: ServerResponse) => boolean | Promise<boolean>;

export interface FakeHub {
  readonly endpoint: string;
  readonly store: string;
  readonly repository: string;
  /** That `main` stands for. */
  commit: string;
  readonly files: Map<string, ServedFile>;
  readonly requests: HubRequest[];
  /** Called for each request first; true when it has answered. */
  misbehave: Misbehaviour;
  /** Paths of files that were asked for, on the hub, in order. */
  asked(): string[];
  close(): Promise<void>;
}

export const repository = "stabilityai/stable-video-diffusion-img2vid";
export const commit = "9cf024d5bfa8f56622af86c884f26a52f6676f2e";

/** Serves a folder; files above `largeFrom` bytes come from the store, on a port of its own. */
export async function startHub(folder: string, { largeFrom = 50_000 } = {}): Promise<FakeHub> {
  const files = new Map<string, ServedFile>();
  for (const path of await filesBelow(folder)) {
    const bytes = await readFile(join(folder, path));
    files.set(path, { bytes, isLarge: bytes.length >= largeFrom });
  }
  const requests: HubRequest[] = [];
  const hub = {
    endpoint: "",
    store: "",
    repository,
    commit,
    files,
    requests,
    misbehave: (() => false) as Misbehaviour,
    asked: () =>
      requests.flatMap(({ host, path }) => (host === "hub" && path.includes("/resolve/") ? [fileOf(path)] : [])),
    close: async () => {},
  };
  const listen = async (host: "hub" | "store", answer: (request: HubRequest, response: ServerResponse) => void) => {
    const server = createServer(async (message, response) => {
      const request = { host, path: message.url!, headers: message.headers };
      requests.push(request);
      if (!(await hub.misbehave(request, response))) answer(request, response);
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return server;
  };
  const hubServer = await listen("hub", (request, response) => answerAsHub(hub, request, response));
  const storeServer = await listen("store", (request, response) => {
    const file = files.get(decodeURIComponent(request.path.slice(1)));
    if (file) sendFile(file.bytes, `"store-${hashOf(file)}"`, request, response);
    else response.writeHead(404).end();
  });
  hub.endpoint = addressOf(hubServer);
  hub.store = addressOf(storeServer).replace("127.0.0.1", "localhost");
  hub.close = async () => {
    for (const server of [hubServer, storeServer]) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  };
  return hub;
}

/** The path in the repository that a request for a file names. */
export function fileOf(path: string): string {
  return decodeURIComponent(path.split("/resolve/")[1]!.split("/").slice(1).join("/"));
}

export function hashOf({ bytes, isLarge }: ServedFile): string {
  if (isLarge) return createHash("sha256").update(bytes).digest("hex");
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}

/** What the hub's API says of the repository. */
function listingOf(hub: Pick<FakeHub, "files" | "commit">): Record<string, unknown> {
  const siblings = [...hub.files].map(([rfilename, file]) => ({
    rfilename,
    size: file.bytes.length,
    blobId: hashOf({ ...file, isLarge: false }),
    ...(file.isLarge && { lfs: { sha256: hashOf(file), size: file.bytes.length, pointerSize: 134 } }),
  }));
  return { id: repository, sha: hub.commit, gated: false, private: false, siblings };
}

export function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

/** Sends a file, or the range of it that was asked for. */
export function sendFile(bytes: Buffer, etag: string, request: HubRequest, response: ServerResponse): void {
  const condition = request.headers["if-range"];
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
  if (!range || (condition !== undefined && condition !== etag)) {
    response.writeHead(200, { "content-length": bytes.length, etag, "accept-ranges": "bytes" }).end(bytes);
    return;
  }
  const start = Number(range[1]);
  if (start >= bytes.length) {
    response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
    return;
  }
  const headers = {
    "content-length": bytes.length - start,
    "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}`,
    etag,
  };
  response.writeHead(206, headers).end(bytes.subarray(start));
}

function answerAsHub(hub: FakeHub, request: HubRequest, response: ServerResponse): void {
  const { path } = request;
  if (path.startsWith(`/api/models/${repository}/revision/`)) {
    sendJson(response, listingOf(hub));
    return;
  }
  const isFile = [hub.commit, "main"].some((revision) => path.startsWith(`/${repository}/resolve/${revision}/`));
  const name = isFile ? fileOf(path) : "";
  const file = hub.files.get(name);
  if (!file) {
    response.writeHead(404, { "x-error-code": path.startsWith("/api") ? "RepoNotFound" : "EntryNotFound" }).end();
    return;
  }
  const etag = `"${hashOf(file)}"`;
  response.setHeader("x-repo-commit", hub.commit);
  if (!file.isLarge) {
    sendFile(file.bytes, etag, request, response);
    return;
  }
  const location = `${hub.store}/${encodeURIComponent(name)}`;
  const linked = { "x-linked-etag": etag, "x-linked-size": file.bytes.length };
  response.writeHead(302, { location, ...linked }).end();
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join("/")).sort();
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
