import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import type { ImageSource } from "../../../src/node/image/read-source.ts";
import { localPath, readSource } from "../../../src/node/image/read-source.ts";

const limits = { maxBytes: 1000, timeoutMs: 5000, signal: undefined };
const content = Uint8Array.from({ length: 500 }, (_, i) => i % 251);
let folder: string;
let server: Server;
let origin: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stillmotion-read-"));
  await writeFile(join(folder, "some.bin"), content);
  await writeFile(join(folder, "large.bin"), new Uint8Array(1001));
  await writeFile(join(folder, "empty.png"), "");
  await mkdir(join(folder, "folder.png"));
  server = createServer((request, response) => {
    if (request.url === "/some.bin") response.end(content);
    else if (request.url === "/moved") response.writeHead(302, { location: "/some.bin" }).end();
    else if (request.url === "/announced") response.writeHead(200, { "content-length": "2000000" }).write("x");
    else if (request.url === "/endless") sendWithoutEnd(response);
    else if (request.url === "/slow") response.write("x");
    else if (request.url === "/cut")
      response.writeHead(200, { "content-length": "500" }).write("x", () => response.destroy());
    else response.writeHead(404).end("<html>no</html>");
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

function sendWithoutEnd(response: { write: (data: string) => boolean; destroyed: boolean }): void {
  const timer = setInterval(() => (response.destroyed ? clearInterval(timer) : response.write("x".repeat(300))), 1);
}

test("a path, a file URL, an http URL, a redirect, a data URL, bytes and a Blob give the same bytes", async () => {
  const path = join(folder, "some.bin");
  const sources: ImageSource[] = [
    path,
    pathToFileURL(path),
    pathToFileURL(path).href,
    `${origin}/some.bin`,
    new URL(`${origin}/moved`),
    `data:image/png;base64,${Buffer.from(content).toString("base64")}`,
    content,
    Buffer.from(content),
    content.slice().buffer,
    new Blob([content]),
  ];
  for (const source of sources)
    expect(Array.from((await readSource(source, limits)).bytes)).toEqual(Array.from(content));
});

test
  .skipIf(process.platform === "win32")
  .each([
    "cam-2024-05-01T12:30:11.png",
    "http:photo.png",
    "data:1,2.png",
    "file:photo.png",
    "s3:photo.png",
    "100%25 #1?.png",
  ])("a file that exists is read, though its name is %j", async (name) => {
  await writeFile(name, content);
  onTestFinished(() => rm(name));
  expect(await readSource(name, limits)).toEqual({ name, bytes: content });
  expect(await localPath(name)).toBe(name);
});

test("an http folder that exists is no address", async () => {
  await mkdir("http:/example.org", { recursive: true });
  onTestFinished(() => rm("http:", { recursive: true }));
  await writeFile("http:/example.org/a.png", content);
  expect((await readSource("http://example.org/a.png", limits)).bytes).toEqual(content);
});

test("what is on this machine is told from what is elsewhere", async () => {
  const path = join(folder, "some.bin");
  expect(await localPath(pathToFileURL(path).href)).toBe(path);
  expect(await localPath("nowhere/12:30.png")).toBe("nowhere/12:30.png");
  for (const elsewhere of ["http://a/b.png", "https://a/b.png", "data:,1", "s3://a/b.png", "file://host/a.png"]) {
    expect(await localPath(elsewhere), elsewhere).toBeUndefined();
  }
});

test.each([
  ["Cam-2024-05-01T12:30:12 %20.PNG", "was not found"],
  ["CAM:/photo.png", "was not found"],
  ["S3://Bucket/X%20Y ü.png", "has the scheme s3:, expected http, https, file or data; download it first"],
  ["FTP://Example.ORG/A.png", "has the scheme ftp:"],
  ["http:12:30.png", "is no file here and no valid URL"],
  ["HTTP://LOCALHOST:1/Ü%20x.png", "could not be fetched"],
  ["file:///Nowhere/%41.png", "was not found"],
])("%s is named as it was given", async (name, problem) => {
  await expect(readSource(name, limits)).rejects.toMatchObject({
    message: expect.stringContaining(`image ${name}: ${problem}`),
  });
});

test.each<[string, () => ImageSource, string]>([
  ["a missing file", () => join(folder, "no.png"), "was not found"],
  ["a file in a missing folder", () => join(folder, "some.bin", "no.png"), "was not found"],
  ["a folder", () => join(folder, "folder.png"), "is a folder, expected a file"],
  ["an empty file", () => join(folder, "empty.png"), "is empty (0 bytes)"],
  ["empty bytes", () => new Uint8Array(), "is empty (0 bytes)"],
  ["a large file", () => join(folder, "large.bin"), "larger than the limit of 0.001 MB"],
  ["a large Blob", () => new Blob([new Uint8Array(1001)]), "larger than the limit"],
  ["large bytes", () => new Uint8Array(1001), "larger than the limit"],
  ["a path with a NUL", () => "a\0b", "could not be read"],
  ["HTTP 404", () => `${origin}/no.png`, "was answered with HTTP 404 Not Found, expected 200"],
  ["a large announced download", () => `${origin}/announced`, "larger than the limit"],
  ["an endless download", () => `${origin}/endless`, "larger than the limit"],
  ["a download that breaks off", () => `${origin}/cut`, "could not be fetched"],
  ["a host that does not answer", () => "http://127.0.0.1:1/a.png", "could not be fetched"],
  ["another scheme", () => "ftp://example.org/a.png", "has the scheme ftp:, expected http"],
  ["a file URL with a foreign host", () => "file://elsewhere/a.png", "is no path on this machine"],
  ["a damaged data URL", () => "data:image/png;base64,%%%", "data: URL"],
  ["an empty string", () => "", 'image "": got an empty string, expected a path or a URL'],
  ["undefined", () => undefined as unknown as string, "got undefined, expected a path"],
  ["a number", () => 7 as unknown as string, "got number, expected a path"],
])("%s is refused", async (_, source, message) => {
  await expect(readSource(source(), limits)).rejects.toMatchObject({
    code: "invalid-image",
    message: expect.stringContaining(message),
  });
});

test.skipIf(process.getuid?.() === 0)("a file without read permission is refused", async () => {
  const path = join(folder, "secret.png");
  await writeFile(path, content);
  await chmod(path, 0);
  await expect(readSource(path, limits)).rejects.toMatchObject({
    message: expect.stringContaining("permission denied"),
  });
});

test.skipIf(process.platform === "win32")("a device that never ends is read up to the limit only", async () => {
  await expect(readSource("/dev/zero", limits)).rejects.toMatchObject({
    message: expect.stringContaining("larger than"),
  });
});

test("a slow download ends at the timeout, and an aborted one with the caller's reason", async () => {
  await expect(readSource(`${origin}/slow`, { ...limits, timeoutMs: 100 })).rejects.toMatchObject({
    code: "invalid-image",
    message: expect.stringContaining("did not arrive within 0.1 s"),
  });
  const controller = new AbortController();
  setTimeout(() => controller.abort("enough"), 50);
  await expect(readSource(`${origin}/slow`, { ...limits, signal: controller.signal })).rejects.toMatchObject({
    code: "aborted",
    cause: "enough",
  });
  await expect(readSource(content, { ...limits, signal: controller.signal })).rejects.toMatchObject({
    code: "aborted",
  });
});

test("messages show no password and no query", async () => {
  for (const [url, words] of [
    [`http://user:secret@127.0.0.1:${new URL(origin).port}/no.png`, "has a user name or password in its URL"],
    [`${origin}/no.png?token=secret`, "was answered with HTTP 404"],
    ["s3://user:secret@bucket/a.png?signature=secret", "has the scheme s3:"],
    ["http:user:secret@127.0.0.1/a.png", "has a user name or password in its URL"],
    ["http://user:secret@127.0.0.1:port/a.png#secret", "no valid URL"],
  ] as const) {
    const error = await readSource(url, limits).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({ message: expect.stringContaining(words) });
    expect(error).toMatchObject({ message: expect.not.stringContaining("secret") });
  }
});
