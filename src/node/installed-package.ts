/**
 * Where do stillmotion's own programs and the packages that it needs lie? Beside this file, or if that was bundled with
 * another program, where stillmotion is installed.
 */
import { existsSync } from "node:fs";
// Not `createRequire` by its name: webpack would follow it.
import nodeModule from "node:module";
import { extname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { StillmotionError } from "../errors.ts";

/** A program that runs in a thread or a process of its own. */
type ProgramName = "engine/ort/worker" | "engine/ort/probe-child" | "engine/ort/prepare-worker";

/** @throws StillmotionError `engine` when stillmotion was bundled and is not installed */
export function programUrl(name: ProgramName): URL {
  return programBeside(mainModule(), name);
}

/**
 * What `require` gives for a package that stillmotion depends on. Bundlers do not see it, so that native libraries, which
 * no bundle can hold, come from where they are installed.
 *
 * @throws StillmotionError `engine` as {@link programUrl}, or what the package throws
 */
export function requireInstalled(name: string): unknown {
  return nodeModule.createRequire(mainModule())(name);
}

/** The path of such a package's file, e.g. `onnxruntime-node/package.json`. */
export function resolveInstalled(file: string): string {
  return nodeModule.createRequire(mainModule()).resolve(file);
}

/**
 * Files from which the package is looked for, by their URLs: this one or the bundle, and the program that was started.
 * esbuild leaves `import.meta.url` out where it writes CommonJS; webpack writes down what it was at build time.
 */
const startingPoints = [import.meta.url, commonJsFile(), process.argv[1]]
  .filter((file) => file !== undefined)
  .map((file) => (file.startsWith("file:") ? file : pathToFileURL(file).href));

function commonJsFile(): string | undefined {
  try {
    return __filename;
  } catch {
    return undefined; // an ES module has none
  }
}

/** The URL of stillmotion's main module: the one that this file belongs to, or where that was bundled the installed one. */
function mainModule(): string {
  const here = startingPoints[0]!;
  const own = new URL(`../index${extname(here)}`, here).href;
  if (hasPrograms(own)) return own;
  for (const start of startingPoints) {
    const installed = installedModule(start);
    if (installed !== undefined && hasPrograms(installed)) return installed;
  }
  throw new StillmotionError(
    "engine",
    `stillmotion was bundled into ${fileURLToPath(here)}, but what it runs in threads and native libraries cannot be, and the package stillmotion, ` +
      "which has them, is not installed where that file could find it. Have it installed there, and best leave it out of " +
      'the bundle: esbuild --external:stillmotion; Vite ssr.external: ["stillmotion"]; Rollup external: ["stillmotion"]; ' +
      'webpack externals: { stillmotion: "commonjs stillmotion" }; Next.js serverExternalPackages: ["stillmotion"]',
  );
}

function hasPrograms(module: string): boolean {
  return existsSync(programBeside(module, "engine/ort/worker"));
}

function programBeside(module: string, name: ProgramName): URL {
  return new URL(`./${name}${extname(module)}`, module);
}

function installedModule(start: string): string | undefined {
  try {
    return pathToFileURL(nodeModule.createRequire(start).resolve("stillmotion")).href;
  } catch {
    return undefined;
  }
}
