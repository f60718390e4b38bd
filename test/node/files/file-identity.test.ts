import { link, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { fileIdentity, targetPath } from "../../../src/node/files/file-identity.ts";

async function folderOfLinks(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "stillmotion-identity-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, "a"));
  for (const name of ["a/file", "a/other"]) await writeFile(join(folder, name), "same");
  await symlink("a", join(folder, "linked"));
  await symlink("file", join(folder, "a", "link"));
  await link(join(folder, "a", "file"), join(folder, "hard"));
  await symlink("new", join(folder, "a", "to-new"));
  await symlink("../linked/to-new", join(folder, "a", "to-to-new"));
  await symlink("round", join(folder, "round"));
  return folder;
}

it.each([
  ["a/file", ["a/./file", "a/../a/file", "linked/file", "a/link", "linked/link", "hard"], ["a/other", "a/new"]],
  ["a/new", ["linked/new", "a/to-new", "linked/to-new", "a/to-to-new"], ["new", "a/newer", "a/New "]],
  ["gone/new", ["gone/x/../new"], ["gone/newer", "a/new"]],
])("%s is the same by every path to it, and no other file", async (name, same, others) => {
  const folder = await folderOfLinks();
  const identity = (path: string) => fileIdentity(`${folder}/${path}`);
  const own = await identity(name);
  for (const path of same) expect(await identity(path), path).toBe(own);
  for (const path of others) expect(await identity(path), path).not.toBe(own);
  expect(await fileIdentity(relative(".", join(folder, name)))).toBe(own);
});

it("follows links to where a file would be written, and ends where they go round", async () => {
  const folder = await folderOfLinks();
  expect(await targetPath(join(folder, "linked", "to-to-new"))).toBe(await targetPath(join(folder, "a", "new")));
  expect(await targetPath(join(folder, "round"))).toBe(await targetPath(join(folder, "round")));
});
