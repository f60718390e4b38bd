/**
 * Do the examples run? Each as its own process, as a person starts it, with a tiny checkpoint and tiny clips.
 *
 * Golden: python -m reference.golden pipeline (reference/golden/pipeline.py), diffusers 0.42.1
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { readClipMetadata } from "../../src/index.ts";

const root = join(import.meta.dirname, "..", "..");
const examples = join(root, "examples");
const hook = pathToFileURL(join(import.meta.dirname, "import-from-source.ts")).href;
const picture = join(root, "test", "pipeline", "golden", "landscape.png");
const checkpoint = join(root, "test", "checkpoints", "two-levels-fp32");
const small = { width: 48, height: 32, numFrames: 2, numInferenceSteps: 2 };

interface Outcome {
  readonly folder: string;
  /** Names in the folder, sorted. */
  readonly files: readonly string[];
  readonly stdout: string;
}

/** Runs an example in an empty folder; anything but success fails the test with what it printed. */
async function run(name: string): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), "stillmotion-example-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const args = ["--import", hook, join(examples, name), picture, checkpoint, JSON.stringify(small)];
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const closed = new Promise((resolve) => child.once("close", resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: "" });
  return { folder, files: (await readdir(folder)).sort(), stdout };
}

async function clipIn({ folder }: Outcome, file: string) {
  return readClipMetadata(join(folder, file));
}

describe("the example", () => {
  it("load-and-generate.ts makes a clip", async () => {
    const outcome = await run("load-and-generate.ts");
    expect(outcome.files).toEqual(["generated.mp4"]);
    expect(await clipIn(outcome, "generated.mp4")).toMatchObject({ width: 48, height: 32, frames: 2, fps: 7 });
  });

  it("micro-conditioning.ts makes two clips that differ", async () => {
    const { folder, files } = await run("micro-conditioning.ts");
    expect(files).toEqual(["calm.mp4", "lively.mp4"]);
    const [calm, lively] = files.map((file) => readFileSync(join(folder, file)));
    expect(calm!.equals(lively!)).toBe(false);
  });

  it("memory.ts says what would fit, and which network is in memory", async () => {
    const { files, stdout } = await run("memory.ts");
    expect(files).toEqual(["generated.mp4"]);
    expect(stdout).toMatch(/needs about .* are free; .* would fit\n/);
    expect(stdout).toContain("vae encoder: released\nconditioning: loading\nconditioning: released\nunet: loading\n");
  });

  it("progress-and-cancel.ts reports each step and ends a run", async () => {
    const { files, stdout } = await run("progress-and-cancel.ts");
    expect(files).toEqual([]);
    expect(stdout).toContain("unet running 2 2\nstep 2 of 2");
    expect(stdout).toContain("latents 1 x 2 x 4 x 8 x 12\n");
    expect(stdout).toMatch(/aborted; the pipeline can be used again\n$/);
  });

  it("python-names.ts takes Python's names", async () => {
    const outcome = await run("python-names.ts");
    expect(await clipIn(outcome, "generated.mp4")).toMatchObject({ width: 48, height: 32, frames: 2 });
  });

  it("several-videos.ts makes four clips", async () => {
    const { files } = await run("several-videos.ts");
    expect(files).toEqual(["clip-1.mp4", "clip-2.mp4", "clip-3.mp4", "clip-4.mp4"]);
  });

  it("export-formats.ts writes every format and reads the seed back", async () => {
    const { files, stdout } = await run("export-formats.ts");
    expect(files).toEqual(["clip-0001.png", "clip-0002.png", "clip.gif", "clip.mp4", "clip.safetensors", "clip.webp"]);
    for (const format of ["mp4", "gif", "webp", "png", "safetensors"]) {
      expect(stdout).toContain(`clip.${format}: ${format}, 2 frames of 48x32 at 7, seed 42\n`);
    }
  });

  it("own-latents.ts starts from its own noise", async () => {
    expect((await run("own-latents.ts")).files).toEqual(["generated.mp4"]);
  });
});

it("tests and lists every example", () => {
  const programs = readdirSync(examples).filter((name) => name.endsWith(".ts") && name !== "arguments.ts");
  const tested = [...readFileSync(import.meta.filename, "utf8").matchAll(/run\("([a-z-]+\.ts)"\)/g)].map(
    ([, name]) => name,
  );
  const listed = readFileSync(join(examples, "README.md"), "utf8");
  expect([...new Set(tested)].sort()).toEqual(programs.sort());
  for (const name of programs) expect(listed).toContain(`[${name}](${name})`);
});

it("has the photo that the examples take by default", () => {
  const [, photo] = /"photos", "([^"]+)"/.exec(readFileSync(join(examples, "arguments.ts"), "utf8"))!;
  expect(existsSync(join(examples, "photos", photo!))).toBe(true);
});
