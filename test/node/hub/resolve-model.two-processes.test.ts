import { spawn } from "node:child_process";
import { mkdir, readFile, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { expect, it } from "vitest";
import { withLock } from "../../../src/node/hub/lock.ts";
import { hashOf, repository } from "./fake-hub.ts";
import { emptyFolder, pathsBelow, scene } from "./scene.ts";

const unet = "unet/diffusion_pytorch_model.safetensors";

/** Resolves a model in a process of its own. */
function resolveElsewhere(options: Record<string, unknown>): Promise<string> {
  const source = `
    const { resolveModel } = await import(${JSON.stringify(resolve("src/node/hub/resolve-model.ts"))});
    process.stdout.write(await resolveModel(${JSON.stringify(repository)}, ${JSON.stringify(options)}));
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (data) => {
    output += data;
  });
  return new Promise((done) => child.once("close", () => done(output)));
}

it("lets several processes and callers download the same model at once, each file one time", async () => {
  const { hub, cacheFolder, resolve } = await scene();
  hub.misbehave = async ({ host }) => {
    if (host === "store") await new Promise((done) => setTimeout(done, 700));
    return false;
  };
  const elsewhere = { cacheFolder, endpoint: hub.endpoint };
  const folders = await Promise.all([resolveElsewhere(elsewhere), resolveElsewhere(elsewhere), resolve(), resolve()]);
  expect(new Set(folders).size).toBe(1);
  expect((await readFile(join(folders[0]!, unet))).equals(hub.files.get(unet)!.bytes)).toBe(true);
  expect(hub.asked().filter((path) => path === unet)).toHaveLength(1);
  const left = (await pathsBelow(cacheFolder)).filter((path) => /\.(lock|incomplete|tmp)$/.test(path));
  expect(left).toEqual([]);
});

it("goes on where a process was killed that held the lock", async () => {
  const { hub, cacheFolder, resolve } = await scene();
  const file = hub.files.get(unet)!;
  const name = `models--${repository.replace("/", "--")}`;
  const lock = join(cacheFolder, ".locks", name, `${hashOf(file)}.stillmotion.lock`);
  const partial = join(cacheFolder, name, "blobs", `${hashOf(file)}.stillmotion.incomplete`);
  for (const path of [lock, partial]) await mkdir(join(path, ".."), { recursive: true });
  await writeFile(partial, file.bytes.subarray(0, 3_000_000));
  await writeFile(lock, "12345 another-machine");
  const longAgo = new Date(Date.now() - 120_000);
  await utimes(lock, longAgo, longAgo);
  const folder = await resolve();
  expect((await readFile(join(folder, unet))).equals(file.bytes)).toBe(true);
  expect(hub.requests.find(({ host, path }) => host === "store" && path.includes("unet"))!.headers.range).toBe(
    "bytes=3000000-",
  );
});

it("takes a lock whose process is no more, waits for one that lives, and stops waiting when told to", async () => {
  const path = join(await emptyFolder(), "a.lock");
  const { pid } = spawn(process.execPath, ["-e", ""]);
  await new Promise((done) => setTimeout(done, 500));
  await writeFile(path, `${pid} ${hostname()}`);
  const order: string[] = [];
  let second: Promise<unknown> | undefined;
  await withLock(path, undefined, async () => {
    order.push("first");
    second = withLock(path, undefined, async () => void order.push("second"));
    const impatient = withLock(path, AbortSignal.timeout(50), async () => void order.push("never"));
    await expect(impatient).rejects.toMatchObject({ code: "aborted" });
    order.push("first ends");
  });
  await second;
  expect(order).toEqual(["first", "first ends", "second"]);
  expect(await pathsBelow(join(path, ".."))).toEqual([]);
});
