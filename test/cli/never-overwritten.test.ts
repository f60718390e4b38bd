/** Does a run leave alone what it reads? */
import { cp, link, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, it, onTestFinished, vi } from "vitest";
import { caseFoldingFolder } from "../support/case-folding-folder.ts";
import { checkpoint, jsonLines, picture, scratchFolder, small, stillmotionHere } from "./command.ts";

const usage = 2;

/** What is read is in none of these files what it should be: whoever opens one says something else. */
async function write(folder: string, ...names: string[]): Promise<void> {
  for (const name of names) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), `stays ${name}`);
  }
}

async function contents(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(await Promise.all(files.map(async (file) => [file, await readFile(file, "base64")])));
}

interface Case {
  /** Files of that content. */
  readonly files: readonly string[];
  readonly links?: (at: (name: string) => string) => Promise<unknown>;
  /** Words of the command, in which `@name` is that name in the folder. */
  readonly words: string;
  readonly says: string;
}

const photo = "is the picture itself";
const given = "x.jpg -o";
const model = ["svd/model_index.json", "svd/unet/diffusion_pytorch_model.safetensors"];
const unetFile = "@svd/unet/diffusion_pytorch_model.safetensors";
const peft = ["peft/adapter_config.json", "peft/adapter_model.safetensors"];

const cases: Record<string, Case> = {
  "a picture of the output's name": { files: ["a.webp"], words: "@a.webp -o @a.webp", says: photo },
  "a picture by another way": { files: ["a.webp", "b/c"], words: "@a.webp -o @b/../a.webp", says: photo },
  "a picture by its URL": { files: ["a.webp"], words: "file:@a.webp -o @a.webp", says: photo },
  "a picture by its coded URL": { files: ["a.webp"], words: "file:@%61.webp -o @a.webp", says: photo },
  "a numbered frame": { files: ["clip-0002.png"], words: "@clip-0002.png -o @clip.png --frames 2", says: photo },
  "a numbered frame by its URL": {
    files: ["clip-0002.png"],
    words: "file:@clip-0002.png -o @clip.png --frames 2",
    says: photo,
  },
  "a frame of a pattern": { files: ["f002-x.png"], words: "@f002-x.png -o @f%03d-x.png --frames 2", says: photo },
  "a frame of a plain pattern": { files: ["12.png"], words: "@12.png -o @%d.png --frames 14", says: photo },
  "a numbered clip": { files: ["a-2.gif"], words: "@a-2.gif -o @a.gif --videos 2", says: photo },
  "one of several pictures": { files: ["a-1.gif"], words: "x.jpg @a-1.gif -o @a.gif", says: photo },
  "a frame of a numbered clip": {
    files: ["a-2-0002.png"],
    words: "@a-2-0002.png -o @a.png --videos 2 --frames 2",
    says: photo,
  },
  "a picture that the output links to": {
    files: ["a.png"],
    links: (at) => symlink("a.png", at("b.webp")),
    words: "@a.png -o @b.webp",
    says: photo,
  },
  "a picture that a frame links to": {
    files: ["a.png"],
    links: (at) => symlink("a.png", at("b-0003.png")),
    words: "@a.png -o @b.png --frames 3",
    says: photo,
  },
  "what a picture links to": {
    files: ["a.webp"],
    links: (at) => symlink("a.webp", at("b.png")),
    words: "@b.png -o @a.webp",
    says: photo,
  },
  "a picture by a hard link": {
    files: ["a.png"],
    links: (at) => link(at("a.png"), at("b.mp4")),
    words: "@a.png -o @b.mp4",
    says: photo,
  },
  "a picture in a linked folder": {
    files: ["a/b.gif"],
    links: (at) => symlink("a", at("c")),
    words: "@a/b.gif -o @c/b.gif",
    says: photo,
  },
  latents: { files: ["n.safetensors"], words: `${given} @n.safetensors --latents @n.safetensors`, says: "--latents" },
  "latents by a link": {
    files: ["n.safetensors"],
    links: (at) => symlink("n.safetensors", at("o.safetensors")),
    words: `${given} @n.safetensors --latents @o.safetensors`,
    says: "--latents",
  },
  "a LoRA": { files: ["l.safetensors"], words: `${given} @l.safetensors --lora @l.safetensors`, says: "--lora" },
  "a LoRA with a strength": {
    files: ["l.safetensors"],
    words: `${given} @l.safetensors --lora @l.safetensors:0.8`,
    says: "--lora",
  },
  "a LoRA whose name ends as a strength does": {
    files: ["l:0.5"],
    links: (at) => link(at("l:0.5"), at("clip.mp4")),
    words: `${given} @clip.mp4 --lora @l:0.5`,
    says: "--lora",
  },
  "a file of a LoRA's folder": {
    files: peft,
    words: `${given} @peft/adapter_model.safetensors --lora @peft`,
    says: "--lora",
  },
  "what is beside a LoRA": {
    files: peft,
    links: (at) => symlink("adapter_config.json", at("peft/a.mp4")),
    words: `${given} @peft/a.mp4 --lora @peft/adapter_model.safetensors`,
    says: "--lora",
  },
  "a UNet": { files: ["u.safetensors"], words: `${given} @u.safetensors --unet @u.safetensors`, says: "--unet" },
  "a UNet by a hard link": {
    files: ["u.safetensors"],
    links: (at) => link(at("u.safetensors"), at("clip.mp4")),
    words: `${given} @clip.mp4 --unet @u.safetensors`,
    says: "--unet",
  },
  "a model in one file": {
    files: ["svd.safetensors"],
    words: `${given} @svd.safetensors --model @svd.safetensors`,
    says: "a file of the model",
  },
  "a file of a model's folder": {
    files: model,
    words: `${given} ${unetFile} --model @svd`,
    says: "a file of the model",
  },
  "a file of a model's linked folder": {
    files: model,
    links: (at) => symlink("svd", at("linked")),
    words: `${given} ${unetFile} --model @linked`,
    says: "a file of the model",
  },
  "what a file of a model links to": {
    files: [...model, "store/vae.safetensors"],
    links: (at) => symlink("../store/vae.safetensors", at("svd/vae.safetensors")),
    words: `${given} @store/vae.safetensors --model @svd`,
    says: "a file of the model",
  },
  "the second of two outputs": {
    files: ["a.webp"],
    words: "@a.webp -o @b.mp4 -o @a.webp",
    says: photo,
  },
};

it.each(Object.entries(cases))("refuses to write over %s", async (_, { files, links, words, says }) => {
  const folder = await scratchFolder();
  const at = (name: string) => join(folder, name);
  await write(folder, ...files);
  await links?.(at);
  const before = await contents(folder);
  const args = words
    .replaceAll(/file:@/g, `${pathToFileURL(folder).href}/`)
    .replaceAll("@", `${folder}/`)
    .split(" ");
  const { code, stdout, stderr } = await stillmotionHere(["generate", ...args]);
  expect(stderr).toMatch(/^error: --output: .*; choose another name\n$/);
  expect(stderr).toContain(says);
  expect({ code, stdout }).toEqual({ code: usage, stdout: "" });
  expect(await contents(folder)).toEqual(before);
});

it("refuses to write over a model of the hub in the cache", async () => {
  const folder = await scratchFolder();
  const root = "models--stabilityai--stable-video-diffusion-img2vid";
  await write(folder, `${root}/blobs/abc`);
  await mkdir(join(folder, root, "snapshots", "1", "unet"), { recursive: true });
  await symlink("../../../blobs/abc", join(folder, root, "snapshots", "1", "unet", "a.safetensors"));
  await symlink(join(root, "blobs", "abc"), join(folder, "clip.mp4"));
  vi.stubEnv("HF_HUB_CACHE", folder);
  onTestFinished(() => void vi.unstubAllEnvs());
  for (const output of ["clip.mp4", `${root}/snapshots/1/unet/a.safetensors`]) {
    const args = ["generate", "x.jpg", "-o", join(folder, output), "--model", "svd", "--local-files-only"];
    const { code, stderr } = await stillmotionHere(args);
    expect({ code, stderr }).toMatchObject({ code: usage, stderr: expect.stringContaining("is a file of the model") });
  }
  expect(await contents(folder)).toEqual({ [join(folder, root, "blobs", "abc")]: btoa(`stays ${root}/blobs/abc`) });
});

it.each([
  ["a clip beside a model's files", ["svd/model_index.json", "svd/clip.gif"], `${given} @svd/clip.gif --model @svd`],
  ["a clip beside a LoRA's files", [...peft, "peft/clip.gif"], `${given} @peft/clip.gif --lora @peft`],
  ["a clip in a folder that is no picture", ["a.gif"], "@. -o @a.gif"],
])("does not take for read %s", async (_, files, words) => {
  const folder = await scratchFolder();
  await write(folder, ...files);
  const { code, stderr } = await stillmotionHere(["generate", ...words.replaceAll("@", `${folder}/`).split(" ")]);
  expect(stderr).toMatch(/^error: image .*(x\.jpg: was not found|is a folder)/);
  expect(code).toBe(1);
});

it("counts the frames that the checkpoint says, before a network runs", async () => {
  const folder = await scratchFolder();
  const { num_frames: frames } = JSON.parse(await readFile(join(checkpoint, "unet", "config.json"), "utf8"));
  const args = (number: number) => {
    const name = join(folder, `clip-${String(number).padStart(4, "0")}.png`);
    return { name, words: ["generate", name, "-o", join(folder, "clip.png"), "--model", checkpoint, "--json"] };
  };
  const last = args(frames);
  await cp(picture, last.name);
  const { code, stdout } = await stillmotionHere([...last.words, "--width", "64", "--height", "64"]);
  expect(code).toBe(usage);
  expect(jsonLines(stdout).map(({ event }) => event)).toEqual(["note", "error"]);
  expect(stdout).toContain("is the picture itself");
  expect(await readdir(folder)).toEqual([`clip-${String(frames).padStart(4, "0")}.png`]);

  const next = args(frames + 1);
  await cp(picture, next.name);
  const run = [...next.words, "--width", "64", "--height", "64", "--steps", "1", "--clean"];
  expect(await stillmotionHere(run)).toMatchObject({ code: 0 });
  expect((await readFile(next.name)).equals(await readFile(picture))).toBe(true);
});

it.each([
  ["two patterns of the same names", "-o @a.png -o @a-%04d.png --frames 2", undefined],
  ["a link to a file that is not there yet", "-o @a.mp4 -o @b.mp4", (at: At) => symlink("a.mp4", at("b.mp4"))],
  ["a linked folder", "-o @a.mp4 -o @b/a.mp4", (at: At) => symlink(".", at("b"))],
  ["another way", "-o @a.mp4 -o @./a.mp4", undefined],
  ["a frame's link to another frame", "-o @a.png --frames 2", (at: At) => symlink("a-0001.png", at("a-0002.png"))],
  ["a clip's link to another clip", "-o @a.mp4 --videos 2", (at: At) => symlink("a-1.mp4", at("a-2.mp4"))],
])("refuses outputs that are each other's by %s", async (_, words, links) => {
  const folder = await scratchFolder();
  await links?.((name) => join(folder, name));
  const args = words.replaceAll("@", `${folder}/`).split(" ");
  const { code, stderr } = await stillmotionHere(["generate", "nowhere.jpg", ...args]);
  expect({ code, stderr }).toMatchObject({ code: usage, stderr: expect.stringMatching(/^error: .* is given twice/) });
});

type At = (name: string) => string;

it("refuses other spellings where the file system takes them for the same", async ({ skip }) => {
  const folder = await caseFoldingFolder();
  if (folder === undefined) return skip("no file system here takes A and a for the same name");
  await write(folder, "photo-0002.png");
  const read = await stillmotionHere([
    ...["generate", join(folder, "photo-0002.png"), "-o", join(folder, "PHOTO.png"), "--frames", "2"],
  ]);
  expect(read).toMatchObject({ code: usage, stderr: expect.stringContaining("is the picture itself") });
  const twice = ["-o", join(folder, "clip.mp4"), "-o", join(folder, "CLIP.mp4")];
  const written = await stillmotionHere(["generate", picture, ...twice, ...small]);
  expect(written).toMatchObject({ code: usage, stderr: expect.stringContaining("is given twice, in two spellings") });
  expect(Object.keys(await contents(folder))).toEqual([join(folder, "photo-0002.png")]);
});
