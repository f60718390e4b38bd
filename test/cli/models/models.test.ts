/** Golden: python -m reference.golden lora (reference/golden/lora.py), diffusers 0.42.1 */
import { mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { hubSettings } from "../../../src/cli/models/environment.ts";
import { downloadClock, downloadLine } from "../../../src/cli/models/progress.ts";
import { readClipMetadata } from "../../../src/node/video/read-metadata.ts";
import { commit, type FakeHub, hashOf, repository, startHub } from "../../node/hub/fake-hub.ts";
import { jsonLines, picture, scratchFolder, small, start, stillmotion, stillmotionHere } from "../command.ts";

const unet = "unet/diffusion_pytorch_model.safetensors";
const withoutModel = small.slice(2);

afterEach(() => {
  vi.unstubAllEnvs();
});

/** A hub, an empty home of the cache, and an environment that names both. */
async function scene(): Promise<{ hub: FakeHub; home: string; snapshot: string; env: Record<string, string> }> {
  const hub = await startHub("test/checkpoints/two-levels-fp32");
  onTestFinished(() => hub.close());
  const home = await scratchFolder();
  const env = { HF_HOME: home, HF_ENDPOINT: hub.endpoint, HF_TOKEN: "hf_secret", HF_HUB_CACHE: "", HF_HUB_OFFLINE: "" };
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const snapshot = join(home, "hub", `models--${repository.replace("/", "--")}`, "snapshots", commit);
  return { hub, home, snapshot, env };
}

it("makes a clip with a model of the hub, downloaded when first used and never again", async () => {
  const { hub, home, env } = await scene();
  const clip = join(home, "clip.gif");
  const args = ["generate", picture, "-o", clip, "--model", "svd", ...withoutModel, "--seed", "7"];
  const first = await stillmotion(args, { env });
  expect(first).toMatchObject({ code: 0, stdout: `${clip}\n` });
  expect(first.stderr).toContain(`${repository}: downloaded 9 files, 6.6 MB\n`);
  expect(first.stderr).toContain(`${repository}: 2 frames of 64x64, 1 step, preset official svd\n`);
  const { settings } = await readClipMetadata(clip);
  expect(settings).toMatchObject({ model: repository });
  const bytes = await readFile(clip);

  expect(hub.requests[0]!.headers.authorization).toBe("Bearer hf_secret");
  await hub.close();
  const again = await stillmotion([...args, "--local-files-only", "--json"], { env });
  expect(again).toMatchObject({ code: 0, stderr: "" });
  expect(jsonLines(again.stdout)).toContainEqual(expect.objectContaining({ event: "start", model: repository }));
  const told = jsonLines(again.stdout).filter(({ event }) => event === "download");
  expect(told.map(({ status }) => status)).toEqual(["ready"]);
  expect((await readFile(clip)).equals(bytes)).toBe(true);
});

it("passes a download's events through, and lists, checks and removes what came", async () => {
  const { hub, home, snapshot } = await scene();
  const empty = await stillmotionHere(["models"]);
  expect(empty).toEqual({
    code: 0,
    stdout: `no model that makes clips is in the cache; stillmotion models pull svd-xt gets one\ncache: ${join(home, "hub")}\n`,
    stderr: "",
  });

  const pulled = await stillmotionHere(["models", "pull", "svd", "--json"]);
  expect(pulled).toMatchObject({ code: 0, stderr: "" });
  const events = jsonLines(pulled.stdout);
  expect(events[0]).toEqual({
    event: "download",
    status: "initiate",
    name: repository,
    file: "model_index.json",
    total: hub.files.get("model_index.json")!.bytes.length,
  });
  expect(new Set(events.map(({ status }) => status))).toEqual(
    new Set(["initiate", "download", "progress", "done", "ready", undefined]),
  );
  expect(events.at(-1)).toEqual({ event: "result", folder: snapshot });

  const listed = await stillmotionHere(["models"]);
  expect(listed.stdout).toBe(
    `${repository} (svd): 6.6 MB\n  main ${commit.slice(0, 7)}: plain, 6.6 MB\ncache: ${join(home, "hub")}\n`,
  );
  const [json] = jsonLines((await stillmotionHere(["models", "--json"])).stdout);
  expect(json).toMatchObject({ models: [{ repository, isVideoModel: true, revisions: [{ commit, refs: ["main"] }] }] });

  const inspected = await stillmotionHere(["inspect", "svd"]);
  expect(inspected).toMatchObject({ code: 0 });
  expect(inspected.stdout).toMatch(/complete: every tensor is there and has its place\n$/);

  const sound = await stillmotionHere(["models", "verify", "svd"]);
  expect(sound).toEqual({ code: 0, stdout: `${repository}: 9 of 9 files sound\n`, stderr: "" });

  const removed = await stillmotionHere(["models", "remove", "svd"]);
  expect(removed).toMatchObject({ code: 0, stderr: "" });
  expect(removed.stdout).toMatch(/^removed .*models--stabilityai--\S+ \(stabilityai\/\S+\): 6\.6 MB are free again\n$/);
  expect((await readdir(join(home, "hub"))).sort()).toEqual([".locks", "CACHEDIR.TAG"]);
});

it("finds what is damaged, missing or of unknown origin", async () => {
  const { hub, snapshot } = await scene();
  const { stdout } = await stillmotionHere(["models", "pull", "svd", "--quiet"]);
  expect(stdout).toBe("");
  const bytes = Buffer.from(hub.files.get(unet)!.bytes);
  bytes[3_000_000]! ^= 1;
  await writeFile(join(snapshot, unet), bytes);
  await rm(join(snapshot, await readlink(join(snapshot, "model_index.json"))));
  await rm(join(snapshot, "vae", "config.json"));
  await writeFile(join(snapshot, "vae", "config.json"), "{}");
  const { code, stdout: text } = await stillmotionHere(["models", "verify", "svd"]);
  expect(code).toBe(1);
  expect(text).toBe(
    `missing  model_index.json\ndamaged  ${unet}\nunknown  vae/config.json\n${repository}: 6 of 9 files sound\n` +
      "to mend it: stillmotion models remove svd, then stillmotion models pull svd\n",
  );
  const asJson = await stillmotionHere(["models", "verify", "svd", "--json"]);
  expect(jsonLines(asJson.stdout)[0]).toMatchObject({ ok: false, name: repository });
});

it("shows what is incomplete and what belongs to others", async () => {
  const { home, snapshot } = await scene();
  await stillmotionHere(["models", "pull", "svd", "--quiet"]);
  await rm(join(snapshot, unet));
  const other = join(home, "hub", "models--someone--text", "snapshots", commit);
  await mkdir(other, { recursive: true });
  await writeFile(join(other, "config.json"), "12345");
  const { stdout } = await stillmotionHere(["models"]);
  expect(await stillmotionHere(["models", "verify", "svd"])).toEqual({
    code: 1,
    stdout:
      `${repository}: 8 of 8 files sound\n` +
      `  main ${commit.slice(0, 7)}: incomplete: unet: holds config.json; expected diffusion_pytorch_model.safetensors, ` +
      "diffusion_pytorch_model.fp16.safetensors or diffusion_pytorch_model.safetensors.index.json: is the download complete?, 1.7 MB\n" +
      "to complete it: stillmotion models pull svd\n",
    stderr: "",
  });
  expect(stdout).toMatch(/ {2}main \w{7}: incomplete: unet: holds config\.json; expected .*, 1\.7 MB\n/);
  expect(stdout).toMatch(/\n1 model of other kinds, 5 bytes\n/);
});

it("removes nothing that is not a folder of the cache", async () => {
  const { home } = await scene();
  const precious = join(home, "precious");
  await stillmotionHere(["models", "pull", "svd", "--quiet"]);
  await writeFile(precious, "data");
  await symlink(home, join(home, "hub", "models--some--link"));
  for (const [name, message] of [
    ["../precious", /there is no such folder/],
    ["some/..", /there is no such folder/],
    ["/", /there is no such folder/],
    [".", /there is no such folder/],
    ["some/link", /some\/link is not in the cache/],
    ["some/other", /some\/other is not in the cache .*; "stillmotion models" lists what is/],
    ["svd@main", /all revisions go together here; leave the @revision out/],
  ] as const) {
    const { code, stderr } = await stillmotionHere(["models", "remove", name]);
    expect(code, name).toBeGreaterThan(0);
    expect(stderr).toMatch(message);
  }
  expect(await readFile(precious, "utf8")).toBe("data");
  expect(await readdir(join(home, "hub"))).toHaveLength(4);
});

it("stops a download on Ctrl-C, keeps what came, and goes on with the next call", async () => {
  const { hub, home, env } = await scene();
  const { bytes } = hub.files.get(unet)!;
  hub.misbehave = ({ host, path, headers }, response) => {
    if (host !== "store" || !path.includes("unet") || headers.range !== undefined) return false;
    response.writeHead(200, { "content-length": bytes.length }).write(bytes.subarray(0, 2_000_000));
    setTimeout(() => child.kill("SIGINT"), 500);
    return true;
  };
  const { child, outcome } = start(["models", "pull", "svd"], { env });
  const { code, signal, stdout, stderr } = await outcome;
  expect({ code, signal, stdout }).toEqual({ code: 130, signal: null, stdout: "" });
  expect(stderr).toMatch(/^stopped by SIGINT; run it again to go on from there\n$/);
  const blobs = join(home, "hub", `models--${repository.replace("/", "--")}`, "blobs");
  expect(await readdir(blobs)).toContain(`${hashOf(hub.files.get(unet)!)}.stillmotion.incomplete`);
  expect(await stillmotionHere(["models", "pull", "svd", "--quiet"])).toMatchObject({ code: 0 });
});

it.each([
  ["--lora missing.safetensors", 1, "missing.safetensors: cannot be opened"],
  ["--unet missing.safetensors", 1, "missing.safetensors: is missing"],
  ["--unet test/weights/lora/golden/kohya.safetensors", 1, "is a LoRA, not a UNet: give it with --lora"],
  ["--preset offical", 2, '--preset is "offical", expected official or diffusers'],
  ["--dtype fp8", 1, '--dtype is "fp8"'],
  ["--device moon", 1, '--device is "moon"'],
])("says what is wrong with %s before anything is downloaded", async (words, code, message) => {
  const { hub } = await scene();
  const args = ["generate", picture, "-o", "clip.mp4", "--model", "svd", ...words.split(" ")];
  const outcome = await stillmotionHere(args);
  expect(outcome).toMatchObject({ code, stdout: "" });
  expect(outcome.stderr).toContain(message);
  expect(hub.requests).toEqual([]);
});

it.each([
  [
    "generate --model ./nowhere",
    1,
    "./nowhere: there is no such path here; expected a folder in diffusers layout, a file",
  ],
  [
    "generate --model svd-xt --local-files-only",
    1,
    "and nothing may be downloaded here (as with --local-files-only or HF_HUB_OFFLINE)",
  ],
  [
    "generate --model test/checkpoints/two-levels-fp32 --revision main",
    2,
    "and --revision main is for models of the hub",
  ],
  ["generate --revision main", 2, "tiny is a path, and --revision main is for models of the hub; leave it out"],
  ["models pull ./svd", 1, "./svd: there is no such folder"],
  ["models pull svd --revision ../x", 2, "--revision is ../x, expected a branch, a tag or a commit such as main"],
  ["models pull someone/other", 1, "answered 404: there is no such model"],
  ["models verify svd", 2, "is not in the cache"],
  ["models pul svd", 2, "too many arguments"],
  ["models pull", 2, "missing required argument 'name'"],
  ["inspect svd-xt", 1, 'run "stillmotion models pull svd-xt" while there is a network'],
])("refuses %s", async (words, code, message) => {
  await scene();
  const [command, ...rest] = words.split(" ");
  const args =
    command === "generate" ? [command, picture, "-o", "clip.mp4", ...withoutModel, ...rest] : words.split(" ");
  const outcome = await stillmotionHere(args);
  expect(outcome).toMatchObject({ code, stdout: "" });
  expect(outcome.stderr).toContain(message);
});

describe("hubSettings", () => {
  it("are those of Python's huggingface_hub", async () => {
    const home = await scratchFolder();
    expect(hubSettings({})).toMatchObject({
      cacheFolder: join(homedir(), ".cache/huggingface/hub"),
      localFilesOnly: false,
      endpoint: undefined,
    });
    expect(hubSettings({ XDG_CACHE_HOME: "/x" }).cacheFolder).toBe("/x/huggingface/hub");
    expect(hubSettings({ XDG_CACHE_HOME: "/x", HF_HOME: "~/y" }).cacheFolder).toBe(join(homedir(), "y/hub"));
    expect(hubSettings({ HF_HOME: "/y", HUGGINGFACE_HUB_CACHE: "/z" }).cacheFolder).toBe("/z");
    expect(hubSettings({ DATA: "/d", HF_HUB_CACHE: "$DATA/hub", HUGGINGFACE_HUB_CACHE: "/z" }).cacheFolder).toBe(
      "/d/hub",
    );
    expect(hubSettings({ HF_HUB_OFFLINE: "yes", HF_ENDPOINT: "https://mirror" })).toMatchObject({
      localFilesOnly: true,
      endpoint: "https://mirror",
    });
    expect(hubSettings({ HF_HOME: home }).token).toBeUndefined();
    await writeFile(join(home, "token"), "hf_stored\n");
    expect(hubSettings({ HF_HOME: home }).token).toBe("hf_stored");
    expect(hubSettings({ HF_TOKEN_PATH: join(home, "token") }).token).toBe("hf_stored");
    expect(hubSettings({ HF_HOME: home, HF_TOKEN: " hf_given\n" }).token).toBe("hf_given");
    expect(
      hubSettings({ HF_HOME: home, HF_TOKEN: "hf_given", HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }).token,
    ).toBeUndefined();
  });
});

it("tells speed and time left of what is still to come, not of what was there", () => {
  let now = 0;
  const clock = downloadClock(() => now);
  const name = repository;
  const progress = (file: string, loaded: number, total: number) =>
    clock.take({ status: "progress", name, file, progress: (100 * loaded) / total, loaded, total });
  clock.take({ status: "initiate", name, file: "a", total: 4e9 });
  clock.take({ status: "initiate", name, file: "b", total: 1e9 });
  expect(downloadLine(clock.times(), 80)).toBe(
    "downloading  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  0 bytes of 5.0 GB",
  );
  progress("a", 1e9, 4e9);
  now = 1000;
  progress("a", 1.5e9, 4e9);
  expect(clock.times()).toEqual({ loaded: 1.5e9, total: 5e9, bytesPerSecond: 5e8, secondsLeft: 7 });
  expect(downloadLine(clock.times(), 80)).toBe(
    "downloading  ███████░░░░░░░░░░░░░░░░░  1.5 GB of 5.0 GB  7.0 s left  500.0 MB/s",
  );
  expect(downloadLine(clock.times(), 50)).toMatch(/^downloading {2}[█░]{10,} {2}1\.5 GB of 5\.0 GB$/);
  expect(downloadLine(clock.times(), 12)).toBe("1.5 GB of 5");
});
