import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { asRoot, smallFileSystem } from "../../support/small-file-system.ts";
import { commit, fileOf, hashOf, type Misbehaviour, repository, sendFile, sendJson } from "./fake-hub.ts";
import { messageOf, pathsBelow, scene } from "./scene.ts";

const unet = "unet/diffusion_pytorch_model.safetensors";
const unetBytes = 4_862_248;
const token = "hf_secret";

/** Misbehaves the first `times` times that the store is asked for the UNet's weights. */
function atUnet(misbehave: Misbehaviour, times = 1): Misbehaviour {
  let left = times;
  return (request, response) => {
    const isUnet = request.host === "store" && decodeURIComponent(request.path.slice(1)) === unet;
    return isUnet && left-- > 0 ? misbehave(request, response) : false;
  };
}

/** Sends the first `bytes` bytes of what is asked for and drops the connection. */
function dropAfter(bytes: number, file: Buffer): Misbehaviour {
  return (request, response) => {
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const headers: Record<string, string | number> = { "content-length": file.length - start };
    if (start > 0) headers["content-range"] = `bytes ${start}-${file.length - 1}/${file.length}`;
    response.writeHead(start > 0 ? 206 : 200, headers);
    response.write(file.subarray(start, start + bytes), () => setTimeout(() => response.destroy(), 20));
    return true;
  };
}

const incomplete = (paths: readonly string[]) => paths.filter((path) => path.endsWith(".incomplete"));

it("goes on after dropped connections, from where they were dropped", async () => {
  const { hub, resolve, cached } = await scene();
  hub.misbehave = atUnet(dropAfter(1_000_000, hub.files.get(unet)!.bytes), 3);
  const folder = await resolve();
  expect((await readFile(join(folder, unet))).equals(hub.files.get(unet)!.bytes)).toBe(true);
  const asked = hub.requests.filter(({ host, path }) => host === "store" && path.includes("unet"));
  const starts = asked.map(({ headers }) => Number(headers.range?.match(/^bytes=(\d+)-$/)?.[1] ?? 0));
  expect(starts).toHaveLength(4);
  for (const [index, start] of starts.entries()) {
    expect(start).toBeLessThanOrEqual(index * 1_000_000); // what was on its way when the connection dropped is lost
    if (index > 0) expect(start - starts[index - 1]!).toBeGreaterThan(500_000);
  }
  expect(incomplete(await cached())).toEqual([]);
});

it("gives up on a connection that drops every time, and the next call goes on from there", async () => {
  const { hub, resolve, cached } = await scene();
  hub.misbehave = atUnet(dropAfter(1000, hub.files.get(unet)!.bytes), 5);
  expect(await messageOf(resolve())).toMatch(
    new RegExp(`^${repository}: ${unet}: localhost:\\d+: the connection was dropped; check`),
  );
  expect(incomplete(await cached())).toContain(`blobs/${hashOf(hub.files.get(unet)!)}.stillmotion.incomplete`);
  hub.requests.length = 0;
  await resolve();
  const again = hub.requests.find(({ host, path }) => host === "store" && path.includes("unet"))!;
  expect(again.headers.range).toMatch(/^bytes=[1-5]\d{3}-$/);
});

it("begins again where the server knows no ranges", async () => {
  const { hub, resolve } = await scene();
  const { bytes } = hub.files.get(unet)!;
  hub.misbehave = (request, response) => {
    if (request.host !== "store" || !request.path.includes("unet")) return false;
    if (request.headers.range === undefined) return dropAfter(2_000_000, bytes)(request, response);
    response.writeHead(200, { "content-length": bytes.length }).end(bytes);
    return true;
  };
  expect((await readFile(join(await resolve(), unet))).equals(bytes)).toBe(true);
});

it("begins again when the file changed between two pieces", async () => {
  const { hub, resolve } = await scene();
  const { bytes } = hub.files.get(unet)!;
  let times = 0;
  hub.misbehave = (request, response) => {
    if (request.host !== "store" || !request.path.includes("unet")) return false;
    if (++times === 1) {
      response.writeHead(200, { "content-length": bytes.length, etag: '"old"' });
      response.write(Buffer.alloc(1_000_000), () => setTimeout(() => response.destroy(), 20));
    } else sendFile(bytes, '"new"', request, response);
    return true;
  };
  expect((await readFile(join(await resolve(), unet))).equals(bytes)).toBe(true);
  const asked = hub.requests.filter(({ host, path }) => host === "store" && path.includes("unet"));
  expect(asked[1]!.headers).toMatchObject({ range: expect.stringMatching(/^bytes=\d{6,7}-$/), "if-range": '"old"' });
});

it("begins again when the server sends another piece than the one that was asked for", async () => {
  const { hub, resolve } = await scene();
  const { bytes } = hub.files.get(unet)!;
  let times = 0;
  hub.misbehave = atUnet((request, response) => {
    if (++times === 1) return dropAfter(1000, bytes)(request, response);
    response.writeHead(206, { "content-range": `bytes 0-${bytes.length - 1}/${bytes.length}` }).end(bytes);
    return true;
  }, 2);
  expect((await readFile(join(await resolve(), unet))).equals(bytes)).toBe(true);
});

it("throws away what an earlier call left when it was wrong, and what is too long", async () => {
  const { hub, cacheFolder, resolve } = await scene();
  await resolve();
  const root = join(cacheFolder, `models--${repository.replace("/", "--")}`);
  for (const wrong of [Buffer.alloc(10_000), Buffer.alloc(unetBytes + 5), Buffer.alloc(unetBytes)]) {
    const blob = join(root, "blobs", hashOf(hub.files.get(unet)!));
    await writeFile(blob, "");
    await writeFile(`${blob}.stillmotion.incomplete`, wrong);
    expect((await readFile(join(await resolve(), unet))).equals(hub.files.get(unet)!.bytes)).toBe(true);
  }
});

it.each([
  ["less than the file", Buffer.alloc(unetBytes - 1), "announces 4862247 bytes, expected 4862248: wrong length"],
  ["more than the file", Buffer.alloc(unetBytes + 1), "announces 4862249 bytes, expected 4862248: wrong length"],
  [
    "a page of a proxy",
    Buffer.from("<html>please log in</html>"),
    "announces 26 bytes, expected 4862248: wrong length",
  ],
])("refuses %s", async (_, bytes, message) => {
  const { hub, resolve, cached } = await scene();
  hub.misbehave = atUnet((_, response) => {
    response.writeHead(200, { "content-length": bytes.length }).end(bytes);
    return true;
  }, 99);
  expect(await messageOf(resolve())).toContain(message);
  expect(await cached()).not.toContain(`snapshots/${commit}/${unet}`);
});

it.each([
  ["less", unetBytes - 1, /ended after 4862247 of 4862248 bytes: wrong length; run it again/],
  ["more", unetBytes + 70_000, /sent more than the 4862248 bytes of the file: wrong length/],
])("refuses %s than the file without an announced length", async (_, sizeBytes, message) => {
  const { hub, resolve } = await scene();
  hub.misbehave = atUnet((request, response) => {
    if (request.headers.range !== undefined) {
      response.writeHead(206, { "content-range": `bytes ${unetBytes - 1}-${unetBytes - 1}/${unetBytes}` }).end();
    } else response.writeHead(200).end(Buffer.alloc(sizeBytes));
    return true;
  }, 99);
  expect(await messageOf(resolve())).toMatch(message);
});

it("gives no name to a file whose checksum is wrong", async () => {
  const { hub, resolve, cached } = await scene();
  const wrong = Buffer.from(hub.files.get(unet)!.bytes);
  wrong[1_000_000]! ^= 1;
  hub.misbehave = atUnet((request, response) => {
    sendFile(wrong, '"wrong"', request, response);
    return true;
  }, 99);
  expect(await messageOf(resolve())).toMatch(/arrived damaged twice: its checksum is [0-9a-f]{64}, the hub publishes/);
  const hash = hashOf(hub.files.get(unet)!);
  expect((await cached()).filter((path) => path.includes(hash))).toEqual([]);
});

it("gives no name to a small file whose checksum is wrong", async () => {
  const { hub, resolve, cached } = await scene();
  hub.misbehave = (request, response) => {
    if (request.host !== "hub" || !request.path.endsWith("/vae/config.json")) return false;
    response.writeHead(200).end(Buffer.alloc(hub.files.get("vae/config.json")!.bytes.length));
    return true;
  };
  expect(await messageOf(resolve())).toMatch(/vae\/config\.json arrived damaged twice: its checksum is [0-9a-f]{40},/);
  expect((await cached()).filter((path) => path.includes("vae"))).toEqual([]);
});

it("stops when the hub has another file than the one it listed", async () => {
  const { hub, resolve } = await scene();
  hub.misbehave = (request, response) => {
    if (request.host !== "hub" || !request.path.includes("resolve") || fileOf(request.path) !== unet) return false;
    response.writeHead(302, { location: `${hub.store}/x`, "x-linked-etag": `"${"0".repeat(64)}"` }).end();
    return true;
  };
  hub.files.set("x", hub.files.get(unet)!);
  expect(await messageOf(resolve())).toMatch(/changed on .* since the list of files was made.*run it again$/);
});

it.each([
  [401, {}, undefined, /answered 401: there is no such model, or it is private: then give a token/],
  [
    401,
    {},
    token,
    /answered 401: the token is not accepted; make a new one at https:\/\/huggingface\.co\/settings\/tokens/,
  ],
  [401, { "x-error-code": "RepoNotFound" }, token, /there is no such model, or the token does not reach it/],
  [
    403,
    {},
    undefined,
    /answered 403: access is forbidden.*https:\/\/huggingface\.co\/stabilityai\/.*then give a token/,
  ],
  [
    403,
    { "x-error-message": "no read right" },
    token,
    /answered 403 \(no read right\).*check that the token may read it/,
  ],
  [404, {}, undefined, /answered 404: there is no such model.*check the spelling/],
  [404, { "x-error-code": "RevisionNotFound" }, undefined, /has no revision main; give a branch, a tag or a commit/],
  [418, {}, undefined, /answered 418, expected the list of its files/],
  [500, {}, undefined, /answered 500: the hub has trouble; try again later/],
  [503, { "retry-after": "0" }, undefined, /answered 503: the hub has trouble; try again later/],
  [429, { "retry-after": "0" }, undefined, /answered 429: too many requests; try again in 0 s; requests with a token/],
])("says what %d %j means, token: %s", async (status, headers, token, message) => {
  const { hub, resolve, cached } = await scene();
  hub.misbehave = (_, response) => {
    response.writeHead(status, headers).end("no");
    return true;
  };
  expect(await messageOf(resolve({ token }))).toMatch(message);
  expect(hub.requests).toHaveLength(status === 429 || status >= 500 ? 5 : 1);
  expect(await cached()).toEqual([]);
});

it.each([
  [
    undefined,
    /is gated: open https:\/\/huggingface\.co\/\S+, accept the licence, then give a token of that account, as HF_TOKEN/,
  ],
  [
    token,
    /is gated, and the account of this token has no access: open https:\/\/huggingface\.co\/\S+ with that account/,
  ],
])("says how to get into a gated repository, token: %s", async (token, message) => {
  const { hub, resolve } = await scene();
  hub.misbehave = (request, response) => {
    if (request.path.startsWith("/api/")) return false; // the list is public
    response.writeHead(token ? 403 : 401, { "x-error-code": "GatedRepo" }).end();
    return true;
  };
  expect(await messageOf(resolve({ token }))).toMatch(message);
});

it("waits as long as a busy hub asks for", async () => {
  const { hub, resolve } = await scene();
  let firstAt = 0;
  let secondAt = 0;
  hub.misbehave = (request, response) => {
    if (!request.path.startsWith("/api/") || secondAt > 0) return false;
    if (firstAt > 0) {
      secondAt = performance.now();
      return false;
    }
    firstAt = performance.now();
    response.writeHead(429, { "retry-after": "1" }).end();
    return true;
  };
  await resolve();
  expect(secondAt - firstAt).toBeGreaterThan(950);
});

it("says how long to wait when a hub asks for more patience than a program should have", async () => {
  const { hub, resolve } = await scene();
  hub.misbehave = (_, response) => {
    response.writeHead(429, { "retry-after": "300" }).end();
    return true;
  };
  expect(await messageOf(resolve())).toMatch(/answered 429: too many requests; try again in 300 s;/);
  expect(hub.requests).toHaveLength(1);
});

it("sends the token to the hub and to nobody else", async () => {
  const { hub, resolve } = await scene();
  await resolve({ token });
  const tokens = (host: string) =>
    hub.requests.filter((request) => request.host === host).map(({ headers }) => headers.authorization);
  expect(new Set(tokens("hub"))).toEqual(new Set([`Bearer ${token}`]));
  expect(tokens("store")).toHaveLength(3);
  expect(new Set(tokens("store"))).toEqual(new Set([undefined]));
  expect(JSON.stringify(hub.requests.filter(({ host }) => host === "store"))).not.toContain(token);
});

it("says that a file store refused", async () => {
  const { hub, resolve } = await scene();
  hub.misbehave = atUnet((_, response) => {
    response.writeHead(403).end();
    return true;
  }, 1);
  await resolve();
  hub.files.set(unet, { bytes: Buffer.alloc(60_000, 1), isLarge: true });
  hub.misbehave = (request, response) => {
    if (request.host === "hub") return false;
    response.writeHead(403).end();
    return true;
  };
  expect(await messageOf(resolve())).toMatch(
    /the file store localhost:\d+ answered 403; run it again for a new address/,
  );
});

it("follows a few redirects and no more, and only to the web", async () => {
  const { hub, resolve } = await scene();
  let location = "/api/again";
  hub.misbehave = (request, response) => {
    if (!request.path.startsWith("/api/")) return false;
    response.writeHead(307, { location }).end();
    return true;
  };
  expect(await messageOf(resolve())).toMatch(/more than 5 redirects, the last to 127\.0\.0\.1/);
  expect(hub.requests).toHaveLength(6);
  location = "file:///etc/passwd";
  expect(await messageOf(resolve())).toMatch(/redirects to file:\/\/\/etc\/passwd, expected an http\(s\) address/);
});

it("refuses to leave encryption behind", async () => {
  const { hub, resolve } = await scene();
  const encrypted: typeof fetch = async () => new Response(null, { status: 302, headers: { location: hub.store } });
  const problem = await messageOf(resolve({ endpoint: "https://hub.example", fetch: encrypted }));
  expect(problem).toMatch(/hub\.example redirects to localhost:\d+ without encryption \(http\), which is refused/);
  expect(hub.requests).toEqual([]);
});

it.each([
  ["../../../escape.safetensors"],
  ["/tmp/escape.safetensors"],
  ["..\\..\\escape.safetensors"],
  ["C:escape.safetensors"],
  ["nul.safetensors"],
  ["weights.safetensors:stream"],
])("writes nothing for a shard named %j", async (name) => {
  const { hub, cacheFolder, resolve } = await scene("three-levels-fp16");
  const index = "unet/diffusion_pytorch_model.safetensors.index.fp16.json";
  const bytes = Buffer.from(JSON.stringify({ weight_map: { "conv_in.weight": name } }));
  hub.files.set(index, { bytes, isLarge: false });
  hub.files.set(`unet/${name}`, { bytes: Buffer.from("evil"), isLarge: false });
  expect(await messageOf(resolve())).toMatch(
    /names the file .*escape|nul|stream.*, expected a plain file name in the same folder/,
  );
  const paths = await pathsBelow(cacheFolder);
  expect(paths.filter((path) => /escape|nul\.|stream/.test(path))).toEqual([]);
});

it("refuses a variant's file name that leads elsewhere on Windows", async () => {
  const { hub, cacheFolder, resolve } = await scene();
  hub.files.delete(unet);
  hub.files.set("unet/diffusion_pytorch_model.\\\\host\\x.safetensors", { bytes: Buffer.from("evil"), isLarge: false });
  expect(await messageOf(resolve())).toMatch(/expected a plain file name in the same folder/);
  expect(await pathsBelow(cacheFolder)).toEqual([]);
});

it.each([
  [
    "no JSON",
    "<html>",
    /gave no list of files; expected its files with sizes and checksums; is .* a Hugging Face hub\?/,
  ],
  ["a commit that is a path", { sha: "../../x", siblings: [] }, /gave no list of files \(sha: /],
  [
    "a checksum that is a path",
    { sha: commit, siblings: [{ rfilename: "model_index.json", size: 1, blobId: "../../../x" }] },
    /gave no list of files \(siblings\.0\.blobId: /,
  ],
  ["no checksums", { sha: commit, siblings: [{ rfilename: "model_index.json" }] }, /lists files without checksums/],
  ["no files", { sha: commit, siblings: [] }, /has no model_index\.json: it is empty; expected/],
])("refuses a list with %s", async (_, listing, message) => {
  const { hub, cacheFolder, resolve } = await scene();
  hub.misbehave = (_, response) => {
    if (typeof listing === "string") response.end(listing);
    else sendJson(response, listing);
    return true;
  };
  expect(await messageOf(resolve())).toMatch(message);
  expect(await pathsBelow(cacheFolder)).toEqual([]);
});

it("fetches no weights of a model of another kind", async () => {
  const { hub, resolve } = await scene();
  const index = { _class_name: "StableDiffusionXLPipeline", text_encoder: ["transformers", "CLIPTextModel"] };
  hub.files.set("model_index.json", { bytes: Buffer.from(JSON.stringify(index)), isLarge: false });
  expect(await messageOf(resolve())).toMatch(
    /model_index\.json: is of class StableDiffusionXLPipeline, which makes pictures/,
  );
  expect(hub.requests.filter(({ host }) => host === "store")).toEqual([]);
});

it("makes a new connection when one brings nothing any more", async () => {
  const { hub, resolve } = await scene();
  const { bytes } = hub.files.get(unet)!;
  hub.misbehave = atUnet((_, response) => {
    response.writeHead(200, { "content-length": bytes.length }).write(bytes.subarray(0, 500_000));
    return true; // and then silence
  });
  expect((await readFile(join(await resolve({ stallTimeoutMs: 500 }), unet))).equals(bytes)).toBe(true);
});

it("leaves a part that can be continued when it is stopped", async () => {
  const { hub, resolve, cached, events } = await scene();
  const { bytes } = hub.files.get(unet)!;
  const controller = new AbortController();
  hub.misbehave = atUnet((_, response) => {
    response.writeHead(200, { "content-length": bytes.length }).write(bytes.subarray(0, 1_500_000));
    setTimeout(() => controller.abort(), 300);
    return true;
  });
  await expect(resolve({ signal: controller.signal })).rejects.toMatchObject({ code: "aborted" });
  expect(incomplete(await cached())).toEqual([`blobs/${hashOf(hub.files.get(unet)!)}.stillmotion.incomplete`]);
  expect(events.at(-1)!.status).not.toBe("ready");
  expect(await messageOf(resolve({ localFilesOnly: true }))).toMatch(
    / is not complete in the cache .* \(unet: holds config\.json; expected .*\), and nothing may /,
  );
  hub.requests.length = 0;
  expect((await readFile(join(await resolve(), unet))).equals(bytes)).toBe(true);
  expect(hub.requests.find(({ host }) => host === "store")!.headers.range).toMatch(/^bytes=1[0-5]\d{5}-$/);
  expect(incomplete(await cached())).toEqual([]);
});

it("refuses an address of the hub and a token that can be none", async () => {
  const { resolve } = await scene();
  for (const endpoint of [
    "hub.example",
    "ftp://hub.example",
    "https://user:word@hub.example",
    "https://hub.example/?x",
  ]) {
    expect(await messageOf(resolve({ endpoint }))).toContain(`endpoint is ${endpoint}, expected the hub's address`);
  }
  expect(await messageOf(resolve({ token: "hf_a\nb" }))).toMatch(/^token has a character that no token has/);
});

it("says that there is no space before it fetches weights", async ({ skip }) => {
  const { hub, resolve } = await scene();
  const cacheFolder = await smallFileSystem("2m");
  if (cacheFolder === undefined) return skip("only root can make a small file system");
  expect(await messageOf(resolve({ cacheFolder }))).toMatch(
    /: no space for 6\.6 MB \(\d\.\d MB are free\); free some, or put the cache on another disk \(HF_HOME/,
  );
  expect(hub.requests.filter(({ host }) => host === "store")).toEqual([]);
});

it("says that the disk became full on the way, and goes on when there is space again", async ({ skip }) => {
  const { hub, resolve } = await scene();
  const cacheFolder = await smallFileSystem("9m");
  if (cacheFolder === undefined) return skip("only root can make a small file system");
  const other = join(cacheFolder, "other");
  hub.misbehave = atUnet(async () => {
    await writeFile(other, Buffer.alloc(5_000_000));
    return false;
  });
  expect(await messageOf(resolve({ cacheFolder }))).toBe(
    `${cacheFolder}: no space for 4.9 MB (the disk is full); free some, or put the cache on another disk (HF_HOME, or the option cacheFolder)`,
  );
  await rm(other);
  hub.requests.length = 0;
  expect((await readFile(join(await resolve({ cacheFolder }), unet))).equals(hub.files.get(unet)!.bytes)).toBe(true);
  expect(hub.requests.find(({ host, path }) => host === "store" && path.includes("unet"))!.headers.range).toBeDefined();
});

it("says that a cache cannot be written to, wherever that shows", async ({ skip }) => {
  const { resolve } = await scene();
  const cacheFolder = await smallFileSystem("9m");
  if (cacheFolder === undefined) return skip("only root can make a small file system");
  const folder = await resolve({ cacheFolder });
  const writable = (how: "ro" | "rw") => asRoot(`mount -o remount,${how}`, cacheFolder);
  const problem = new RegExp(
    `^${cacheFolder}: unet/config\\.json cannot be written \\(EROFS: read-only file system\\); choose another folder for the cache`,
  );
  await rm(join(folder, "unet/config.json"));
  writable("ro");
  expect(await messageOf(resolve({ cacheFolder }))).toMatch(problem); // a link is missing
  writable("rw");
  await mkdir(join(folder, "unet/config.json")); // in its place
  expect(await messageOf(resolve({ cacheFolder }))).toMatch(/unet\/config\.json cannot be written \(/);
});
