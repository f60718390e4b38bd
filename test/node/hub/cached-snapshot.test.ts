/** Is a cache used that was copied without its refs, and is there a choice where it has several commits? */
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { commit, repository } from "./fake-hub.ts";
import { messageOf, scene } from "./scene.ts";

const other = "0123456789abcdef0123456789abcdef01234567";

/** A whole model in the cache, of which nothing says which revision it is. */
async function withoutRefs() {
  const setting = await scene();
  const folder = await setting.resolve();
  const root = join(setting.cacheFolder, `models--${repository.replace("/", "--")}`);
  await rm(join(root, "refs"), { recursive: true });
  setting.hub.requests.length = 0;
  return { ...setting, folder, root };
}

it("uses the only snapshot offline, and where the hub cannot be reached", async () => {
  const { hub, folder, resolve } = await withoutRefs();
  expect(await resolve({ localFilesOnly: true })).toBe(folder);
  expect(await resolve({ localFilesOnly: true, revision: "main" })).toBe(folder);
  expect(await resolve({ localFilesOnly: true, revision: commit })).toBe(folder);
  expect(hub.requests).toEqual([]);
  hub.misbehave = (_, response) => {
    response.destroy();
    return true;
  };
  expect(await resolve()).toBe(folder);
});

it("does not take it for a revision that is asked for, nor one that belongs to another", async () => {
  const { folder, root, resolve } = await withoutRefs();
  const problem = (revision: string) =>
    new RegExp(
      `^${repository} is not in the cache .* at revision ${revision}, but at another commit \\(give ${repository}@ with ${commit}\\), and`,
    );
  expect(await messageOf(resolve({ localFilesOnly: true, revision: "fp16" }))).toMatch(problem("fp16"));
  await mkdir(join(root, "refs"));
  await writeFile(join(root, "refs/v1"), commit);
  expect(await messageOf(resolve({ localFilesOnly: true }))).toMatch(problem("main"));
  expect(await resolve({ localFilesOnly: true, revision: "v1" })).toBe(folder);
});

it("names the commits where there are several", async () => {
  const { folder, root, resolve } = await withoutRefs();
  await cp(folder, join(root, "snapshots", other), { recursive: true });
  expect(await messageOf(resolve({ localFilesOnly: true }))).toMatch(
    new RegExp(`at revision main, but at another commit \\(give ${repository}@ with one of ${other}, ${commit}\\)`),
  );
  expect(await resolve({ name: `${repository}@${other}`, localFilesOnly: true })).toBe(join(root, "snapshots", other));
});

it("says what the only snapshot lacks", async () => {
  const { folder, resolve } = await withoutRefs();
  await rm(join(folder, "vae/config.json"));
  expect(await messageOf(resolve({ localFilesOnly: true }))).toMatch(
    /is not complete in the cache .* \(has no vae\/config\.json; expected a whole checkpoint in diffusers layout\), and/,
  );
});
