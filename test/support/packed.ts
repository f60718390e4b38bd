/** What does a program find in its node_modules that installed stillmotion? The build, package.json and the dependencies. */
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Builds stillmotion into `folder`/node_modules, beside links to what it depends on and to `others`. */
export function installPacked(folder: string, ...others: readonly string[]): void {
  const modules = join(folder, "node_modules");
  const target = join(modules, "stillmotion");
  mkdirSync(target, { recursive: true });
  cpSync(join(root, "package.json"), join(target, "package.json"));
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  const project = join(root, "tsconfig.build.json");
  execFileSync(process.execPath, [compiler, "-p", project, "--noCheck", "--outDir", join(target, "dist")]);
  for (const name of [...dependencies(), ...others]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(modules, name), "junction");
  }
}

function dependencies(): string[] {
  return Object.keys(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).dependencies);
}
