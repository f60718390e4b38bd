import { lstat, mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, resolve as resolvePath } from "node:path";
import { expect, it } from "vitest";
import type { DownloadEvent } from "../../../src/hub/progress.ts";
import { linkBlob } from "../../../src/node/hub/cache-folder.ts";
import { cachedModels } from "../../../src/node/hub/cached-models.ts";
import { resolveModel } from "../../../src/node/hub/resolve-model.ts";
import { StableVideoDiffusionPipeline } from "../../../src/node/stable-video-diffusion.ts";
import { openCheckpoint } from "../../../src/node/weights.ts";
import { commit, hashOf, repository } from "./fake-hub.ts";
import { emptyFolder, messageOf, pathsBelow, scene } from "./scene.ts";

const needed = [
  "feature_extractor/preprocessor_config.json",
  "image_encoder/config.json",
  "image_encoder/model.safetensors",
  "model_index.json",
  "scheduler/scheduler_config.json",
  "unet/config.json",
  "unet/diffusion_pytorch_model.safetensors",
  "vae/config.json",
  "vae/diffusion_pytorch_model.safetensors",
];

it("downloads what a run needs into the standard cache, and nothing else", async () => {
  const { hub, cacheFolder, resolve, cached, events } = await scene();
  const extra = { bytes: Buffer.from("not needed"), isLarge: false };
  for (const path of [
    "README.md",
    "svd.safetensors",
    "svd_image_decoder.safetensors",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/model.onnx",
    "image_encoder/pytorch_model.bin",
    "image_encoder/model.fp16.safetensors",
    "../../escape.json",
  ]) {
    hub.files.set(path, extra);
  }
  const folder = await resolve();
  expect(folder).toBe(join(cacheFolder, "models--stabilityai--stable-video-diffusion-img2vid", "snapshots", commit));
  expect(hub.asked().sort()).toEqual(needed);
  const blobs = needed.map((path) => hashOf(hub.files.get(path)!)).sort();
  expect(await cached()).toEqual([
    ...blobs.map((hash) => `blobs/${hash}`),
    "refs/main",
    ...needed.map((path) => `snapshots/${commit}/${path}`),
  ]);
  const unet = join(folder, "unet/diffusion_pytorch_model.safetensors");
  expect(await readlink(unet)).toBe(
    `../../../blobs/${hashOf(hub.files.get("unet/diffusion_pytorch_model.safetensors")!)}`,
  );
  expect(await readlink(join(folder, "model_index.json"))).toBe(
    `../../blobs/${hashOf(hub.files.get("model_index.json")!)}`,
  );
  expect(await readFile(join(dirname(folder), "..", "refs", "main"), "utf8")).toBe(commit);
  expect(await pathsBelow(join(cacheFolder, ".locks"))).toEqual([]);
  for (const path of needed) {
    expect((await readFile(join(folder, path))).equals(hub.files.get(path)!.bytes), path).toBe(true);
  }
  await openCheckpoint(folder);

  const ofUnet = events.filter((event) => "file" in event && event.file === "unet/diffusion_pytorch_model.safetensors");
  const sizeBytes = 4_862_248;
  const file = { name: repository, file: "unet/diffusion_pytorch_model.safetensors" };
  expect(ofUnet[0]).toEqual({ status: "initiate", ...file, total: sizeBytes });
  expect(ofUnet[1]).toEqual({ status: "download", ...file });
  expect(ofUnet[2]).toEqual({ status: "progress", ...file, progress: 0, loaded: 0, total: sizeBytes });
  expect(ofUnet.at(-2)).toEqual({ status: "progress", ...file, progress: 100, loaded: sizeBytes, total: sizeBytes });
  expect(ofUnet.at(-1)).toEqual({ status: "done", ...file });
  expect(events.at(-1)).toEqual({ status: "ready", name: repository, task: "image-to-video", model: repository });
});

it("serves the pipeline by name", async () => {
  const { hub, cacheFolder, events } = await scene();
  const onProgress = (event: DownloadEvent) => void events.push(event);
  const options = { endpoint: hub.endpoint, cacheFolder, onProgress };
  await using pipeline = await StableVideoDiffusionPipeline.fromPretrained("svd", { hub: options });
  expect(pipeline.checkpoint.folder).toContain(commit);
  expect(events.at(-1)).toMatchObject({ status: "ready", model: repository });
});

it("fetches no UNet where another file takes its place", async () => {
  const { hub, cacheFolder, resolve } = await scene();
  const weights = "unet/diffusion_pytorch_model.safetensors";
  const unet = join("test/checkpoints/two-levels-fp32", weights);
  const options = { endpoint: hub.endpoint, cacheFolder };
  await using pipeline = await StableVideoDiffusionPipeline.fromPretrained("svd", { unet, hub: options });
  expect(hub.asked().sort()).toEqual(needed.filter((path) => path !== weights));
  expect(pipeline.checkpoint.unet.weightsFolder).toBe(resolvePath("test/checkpoints/two-levels-fp32/unet"));
  expect(pipeline.checkpoint.unet.config).toMatchObject({ num_frames: 3 });
  hub.requests.length = 0;
  expect(await resolve({ withoutWeights: ["unet"], localFilesOnly: true })).toContain(commit);
  expect(await messageOf(resolve({ localFilesOnly: true }))).toMatch(/is not complete in the cache .* \(unet: holds /);
  await resolve();
  expect(hub.asked()).toEqual([weights]);
});

it("asks for the list only when everything is there, and for nothing when the commit is named", async () => {
  const { hub, cacheFolder, resolve, events } = await scene();
  const folder = await resolve();
  await rm(join(cacheFolder, ".locks"), { recursive: true });
  hub.requests.length = 0;
  expect(await resolve()).toBe(folder);
  expect((await readdir(cacheFolder)).filter((name) => name === ".locks")).toEqual([]); // nothing was written
  expect(hub.requests.map(({ path }) => path)).toEqual([`/api/models/${repository}/revision/main?blobs=true`]);
  hub.requests.length = 0;
  events.length = 0;
  expect(await resolve({ revision: commit })).toBe(folder);
  expect(await resolve({ name: `${repository}@${commit}` })).toBe(folder);
  expect(await resolve({ localFilesOnly: true })).toBe(folder);
  expect(hub.requests).toEqual([]);
  const ready = { status: "ready", name: repository, task: "image-to-video", model: repository };
  expect(events).toEqual([ready, ready, ready]);
});

it("reads which shards there are from the index, and takes the variant that is asked for", async () => {
  const { hub, resolve } = await scene("three-levels-fp16");
  hub.files.set("vae/diffusion_pytorch_model.safetensors", { bytes: Buffer.from("plain"), isLarge: true });
  const folder = await resolve({ variant: "fp16" });
  const unet = hub.asked().filter((path) => path.startsWith("unet/"));
  expect(unet.sort()).toEqual([
    "unet/config.json",
    "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
    "unet/diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
    "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
  ]);
  expect(hub.asked()).not.toContain("vae/diffusion_pytorch_model.safetensors");
  await openCheckpoint(folder, { variant: "fp16" });
  expect(await messageOf(resolve({ variant: "int4" }))).toBe(
    `${repository}: has no weights of the variant "int4"; it has fp16`,
  );
});

it("gets a short name and a revision", async () => {
  const { hub, resolve, cached } = await scene();
  await resolve({ name: "svd@refs/pr/3" });
  expect(hub.requests[0]!.path).toBe(`/api/models/${repository}/revision/refs%2Fpr%2F3?blobs=true`);
  expect(await cached()).toContain("refs/refs/pr/3");
});

it("does without the hub when it cannot be reached and the model is there", async () => {
  const { hub, resolve } = await scene();
  const folder = await resolve();
  await hub.close();
  expect(await resolve()).toBe(folder);
  expect(await resolve({ localFilesOnly: true })).toBe(folder);
  expect(await messageOf(resolve({ variant: "fp16" }))).toMatch(/the connection was refused; check the network/);
});

it("keeps to the older commit until the newer one is whole", async () => {
  const { hub, resolve } = await scene();
  const older = await resolve();
  const newer = "f".repeat(40);
  const path = "vae/diffusion_pytorch_model.safetensors";
  const { bytes, isLarge } = hub.files.get(path)!;
  hub.files.set(path, { bytes: Buffer.concat([bytes, Buffer.from("longer")]), isLarge });
  hub.commit = newer;
  hub.misbehave = ({ host }, response) => {
    if (host === "store") response.destroy();
    return host === "store";
  };
  expect(await messageOf(resolve())).toMatch(/the connection was dropped/);
  expect(await resolve({ localFilesOnly: true })).toBe(older);
  hub.misbehave = () => false;
  expect(await resolve()).toContain(newer);
  expect(await resolve({ localFilesOnly: true })).toContain(newer);
});

it("asks nobody when only local files may be used", async () => {
  const { hub, cacheFolder, resolve } = await scene();
  expect(await messageOf(resolve({ localFilesOnly: true }))).toBe(
    `${repository} is not in the cache ${cacheFolder} at revision main, and nothing may be downloaded here (as with localFilesOnly or HF_HUB_OFFLINE); ` +
      `run "stillmotion models pull ${repository}" while there is a network`,
  );
  const folder = await resolve();
  await rm(join(folder, "vae/diffusion_pytorch_model.safetensors"));
  hub.requests.length = 0;
  expect(await messageOf(resolve({ localFilesOnly: true }))).toMatch(/is not complete in the cache .* \(vae: holds /);
  expect(hub.requests).toEqual([]);
  await resolve();
  expect(hub.asked()).toEqual([]); // the blob was there, only its link was not
});

it("finds what Python's huggingface_hub downloaded", async () => {
  const { hub, cacheFolder } = await scene();
  const root = join(cacheFolder, `models--${repository.replace("/", "--")}`);
  for (const path of needed) {
    const file = hub.files.get(path)!;
    const link = join(root, "snapshots", commit, path);
    await mkdir(dirname(link), { recursive: true });
    await mkdir(join(root, "blobs"), { recursive: true });
    await writeFile(join(root, "blobs", hashOf(file)), file.bytes);
    await symlink(`${path.includes("/") ? "../" : ""}../../blobs/${hashOf(file)}`, link);
  }
  await mkdir(join(root, "refs"), { recursive: true });
  await writeFile(join(root, "refs", "main"), commit);
  await mkdir(join(root, ".no_exist", commit), { recursive: true });
  await writeFile(join(root, ".no_exist", commit, "adapter_config.json"), "");
  const folder = join(root, "snapshots", commit);
  expect(await resolveModel(repository, { cacheFolder, localFilesOnly: true })).toBe(folder);
  expect(await resolveModel(repository, { cacheFolder, endpoint: hub.endpoint })).toBe(folder);
  expect(hub.asked()).toEqual([]);
});

it("copies or moves where links cannot be made", async () => {
  const folder = await emptyFolder();
  const noLinks = () => Promise.reject(new Error("EPERM"));
  const blob = join(folder, "blobs", "abc");
  await mkdir(dirname(blob));
  await writeFile(blob, "weights");
  await linkBlob(blob, join(folder, "snapshots", "1", "unet", "weights"), false, noLinks);
  await linkBlob(blob, join(folder, "snapshots", "2", "weights"), true, noLinks);
  expect(await pathsBelow(folder)).toEqual(["snapshots/1/unet/weights", "snapshots/2/weights"]);
  for (const path of await pathsBelow(folder)) {
    expect((await lstat(join(folder, path))).isFile()).toBe(true);
    expect(await readFile(join(folder, path), "utf8")).toBe("weights");
  }
});

it("downloads a repository whose pipeline, scheduler and UNet are called otherwise, and refuses another model's", async () => {
  const { hub, resolve, cacheFolder } = await scene();
  const index = JSON.parse(hub.files.get("model_index.json")!.bytes.toString());
  const serve = (changes: object) =>
    hub.files.set("model_index.json", { bytes: Buffer.from(JSON.stringify({ ...index, ...changes })), isLarge: false });
  serve({
    _class_name: "StableVideoDiffusionPipelineWithControl",
    controlnet: ["controlnet", "ControlNetSDVModel"],
    unet: ["unet_spatio_temporal_condition_controlnet", "UNetSpatioTemporalConditionControlNetModel"],
    scheduler: ["diffusers", "EulerAncestralDiscreteScheduler"],
  });
  const { assumptions } = await openCheckpoint(await resolve());
  expect(assumptions).toHaveLength(3);
  const [model] = await cachedModels(cacheFolder);
  expect(model).toMatchObject({ isVideoModel: true, revisions: [{ variants: [""], problem: undefined }] });

  hub.commit = "1".repeat(40);
  hub.requests.length = 0;
  serve({
    _class_name: "TextPipeline",
    unet: ["diffusers", "UNet2DConditionModel"],
    text_encoder: ["transformers", "CLIPTextModel"],
  });
  expect(await messageOf(resolve())).toContain(
    "model_index.json: is of class TextPipeline, which makes pictures or clips from text; expected a StableVideoDiffusionPipeline",
  );
  expect(hub.asked().filter((path) => path.endsWith(".safetensors"))).toEqual([]);
});

it("takes the one file of a whole processor for the feature extractor", async () => {
  const { hub, resolve } = await scene();
  const path = "feature_extractor/preprocessor_config.json";
  const image_processor = JSON.parse(hub.files.get(path)!.bytes.toString());
  hub.files.delete(path);
  hub.files.set("feature_extractor/processor_config.json", {
    bytes: Buffer.from(JSON.stringify({ image_processor })),
    isLarge: false,
  });
  expect((await openCheckpoint(await resolve())).featureExtractorConfig).toEqual(image_processor);
});
