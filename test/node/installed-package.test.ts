/**
 * Does a program run when it is bundled with stillmotion?
 *
 * Golden: python -m reference.golden pipeline (reference/golden/pipeline.py), diffusers 0.42.1
 */
import { spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { build as buildWithEsbuild } from "esbuild";
import { build as buildWithVite } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { installPacked } from "../support/packed.ts";

const checkpoint = fileURLToPath(new URL("../../models/tiny", import.meta.url));
const picture = fileURLToPath(new URL("../pipeline/golden/landscape.png", import.meta.url));

/** Int8 weights are worked out in threads of their own. */
const program = `
  import { exportToVideo, loadImage, StableVideoDiffusionPipeline } from "stillmotion";
  const [checkpoint, picture, clip] = process.argv.slice(2);
  async function main() {
    const pipe = await StableVideoDiffusionPipeline.fromPretrained(checkpoint, { dtype: "int8" });
    const settings = { width: 32, height: 32, numFrames: 2, numInferenceSteps: 2, seed: 1 };
    const { frames } = await pipe.generate(await loadImage(picture), settings);
    await exportToVideo(frames[0], clip);
    await pipe.dispose();
  }
  main().catch((error) => {
    console.log(error.name, error.code, error.message);
    process.exitCode = 1;
  });`;

const temporary = realpathSync(tmpdir());
const folder = mkdtempSync(join(temporary, "stillmotion-bundle-"));
const entry = join(folder, "program.mjs");

beforeAll(() => {
  installPacked(folder);
  writeFileSync(entry, program);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

/** Each leaves one file, in a folder of its own. */
const bundles: readonly { bundler: string; file: string; make: (file: string) => Promise<unknown> }[] = [
  {
    bundler: "esbuild, as an ES module",
    file: "esbuild/program.mjs",
    make: (file) => bundleWithEsbuild(file, "esm"),
  },
  {
    bundler: "esbuild, as CommonJS",
    file: "esbuild-commonjs/program.cjs",
    make: (file) => bundleWithEsbuild(file, "cjs"),
  },
  {
    bundler: "Vite, as an ES module",
    file: "vite/program.mjs",
    make: (file) => bundleWithVite(file, "esm"),
  },
  {
    bundler: "Vite, as CommonJS",
    file: "vite-commonjs/program.cjs",
    make: (file) => bundleWithVite(file, "cjs"),
  },
];

function bundleWithEsbuild(outfile: string, format: "esm" | "cjs") {
  return buildWithEsbuild({ entryPoints: [entry], bundle: true, platform: "node", format, outfile, logLevel: "error" });
}

function bundleWithVite(file: string, format: "esm" | "cjs") {
  return buildWithVite({
    root: folder,
    configFile: false,
    logLevel: "error",
    ssr: { noExternal: true },
    build: {
      ssr: entry,
      outDir: dirname(file),
      rolldownOptions: { output: { format, entryFileNames: basename(file), codeSplitting: false } },
    },
  });
}

/** Runs it in another folder than its own, as a service would. */
async function run(file: string, clip: string) {
  const child = spawn(process.execPath, [file, checkpoint, picture, clip], { cwd: temporary, stdio: "pipe" });
  const closed = new Promise((resolve) => child.once("close", resolve));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { code, stdout, stderr };
}

describe.each(bundles)("a program bundled by $bundler", ({ file, make }) => {
  const bundle = join(folder, file);
  beforeAll(() => make(bundle), 120_000);

  it("holds stillmotion", () => {
    expect(readdirSync(dirname(bundle))).toEqual([basename(file)]);
    expect(readFileSync(bundle, "utf8")).not.toMatch(/(from|require\() ?"stillmotion"/);
  });

  it("makes a clip where stillmotion is installed", { timeout: 180_000 }, async () => {
    const clip = join(dirname(bundle), "clip.mp4");
    expect(await run(bundle, clip)).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(readFileSync(clip).toString("latin1", 4, 8)).toBe("ftyp");
  });

  it("says where it is not what it looked for, and what to do", async () => {
    const elsewhere = mkdtempSync(join(temporary, "stillmotion-alone-"));
    try {
      const alone = join(elsewhere, basename(file));
      copyFileSync(bundle, alone);
      const { code, stdout } = await run(alone, join(elsewhere, "clip.mp4"));
      expect(code).toBe(1);
      expect(stdout).toContain(`StillmotionError engine stillmotion was bundled into ${alone}`);
      expect(stdout).toContain('Next.js serverExternalPackages: ["stillmotion"]');
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });
});
