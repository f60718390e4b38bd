/** Are two paths one file? By what the system says of it, not by how it is spelt. */
import { lstat, readlink, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";

/** As many as Linux follows. */
const mostLinks = 40;

/**
 * The same text for each path of one file: through links, symbolic and hard, and in every spelling that its file system
 * takes for the same. A file that is not there yet is told by its folder and its name.
 */
export async function fileIdentity(path: string): Promise<string> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  if (found && found.ino !== 0n) return `${found.dev}:${found.ino}`;
  const target = await targetPath(path);
  const folder = await stat(dirname(target), { bigint: true }).catch(() => undefined);
  return folder && folder.ino !== 0n ? `${folder.dev}:${folder.ino}/${basename(target)}` : target;
}

/** Where bytes that are written to a path go: absolute, all links followed, even one to a file that is not there. */
export async function targetPath(path: string): Promise<string> {
  let target = resolve(path);
  for (let links = 0; links < mostLinks; links++) {
    const folder = await realpath(dirname(target)).catch(() => dirname(target));
    target = join(folder, basename(target));
    const isLink = await lstat(target).then(
      (found) => found.isSymbolicLink(),
      () => false,
    );
    if (!isLink) return target;
    target = resolve(folder, await readlink(target));
  }
  return target;
}
