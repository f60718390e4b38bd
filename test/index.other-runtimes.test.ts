/**
 * Does the library run in Deno and in Bun, where they are installed?
 *
 * Golden: python -m reference.golden pipeline (reference/golden/pipeline.py), diffusers 0.42.1
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { hasProgram } from "./video/test-clip.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

const program = `
  import { exportToVideo, loadImage, StableVideoDiffusionPipeline } from "${new URL("../src/index.ts", import.meta.url)}";
  const pipe = await StableVideoDiffusionPipeline.fromPretrained("models/tiny", { dtype: "int8" });
  const settings = { width: 32, height: 32, numFrames: 2, numInferenceSteps: 2, seed: 1 };
  const { frames } = await pipe.generate(await loadImage("test/pipeline/golden/landscape.png"), settings);
  await exportToVideo(frames[0], process.env.CLIP);
  await pipe.dispose();
  console.log("done");`;

const runtimes = [
  { name: "Deno", command: "deno", flags: ["run", "-A", "--no-lock", "--node-modules-dir=manual", "-"] },
  { name: "Bun", command: "bun", flags: ["run", "-"] },
];

describe.each(runtimes)("$name", ({ command, flags }) => {
  it("makes a clip, and ends without a word of its own", { timeout: 180_000 }, async ({ skip }) => {
    skip(!hasProgram(command, "--version"), `${command} is not installed`);
    const folder = mkdtempSync(join(tmpdir(), "stillmotion-runtime-"));
    try {
      const clip = join(folder, "clip.mp4");
      const child = spawn(command, flags, { cwd: root, env: { ...process.env, CLIP: clip, NO_COLOR: "1" } });
      child.stdin.end(program);
      const closed = new Promise((resolve) => child.once("close", resolve));
      const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "done\n", stderr: "" });
      expect(readFileSync(clip).toString("latin1", 4, 8)).toBe("ftyp");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
