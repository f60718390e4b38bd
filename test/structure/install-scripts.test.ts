/** Is it decided for each install script of a dependency whether it runs? */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const project = join(import.meta.dirname, "..", "..");
const json = (path: string) => JSON.parse(readFileSync(join(project, path), "utf8"));

const allowScripts: Readonly<Record<string, boolean>> = json("package.json").allowScripts;
const named = (runs: boolean) => Object.keys(allowScripts).filter((name) => allowScripts[name] === runs);

it("package.json decides on each installed package that has one, and on no other", () => {
  const manifests = globSync(["node_modules/*/package.json", "node_modules/@*/*/package.json"], { cwd: project });
  const withScript = manifests.map(json).filter(({ scripts = {} }) => {
    return scripts.preinstall || scripts.install || scripts.postinstall;
  });
  expect(withScript.map(({ name }) => name).sort()).toEqual(Object.keys(allowScripts).sort());
});

/** npm 10 knows no `allowScripts`, and runs what the lock file marks: a package whose script is denied has no mark. */
it("package-lock.json marks just those that may run", () => {
  const packages: [string, { hasInstallScript?: boolean }][] = Object.entries(json("package-lock.json").packages);
  const marked = packages.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path);
  expect(marked).toEqual(named(true).map((name) => `node_modules/${name}`));
});
