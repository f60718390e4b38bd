/** What lies in stillmotion's own package? Its version and the built-in checkpoint, found from source and from the build. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { StillmotionError } from "../errors.ts";

const thisFile = fileURLToPath(import.meta.url);

/** The folder of the nearest package.json above a file. */
function packageFolder(file: string): string {
  let folder = dirname(file);
  while (!existsSync(join(folder, "package.json"))) {
    const above = dirname(folder);
    if (above === folder) throw new StillmotionError("internal", `there is no package.json above ${file}`);
    folder = above;
  }
  return folder;
}

/** E.g. `0.1.0`. */
export function packageVersion(): string {
  return JSON.parse(readFileSync(join(packageFolder(thisFile), "package.json"), "utf8")).version;
}

/**
 * The folder of the checkpoint that comes with stillmotion.
 *
 * @param file any file of the package
 * @throws StillmotionError `invalid-checkpoint` when the checkpoint was not installed
 */
export function builtInCheckpoint(file = thisFile): string {
  const folder = join(packageFolder(file), "models", "tiny");
  if (existsSync(join(folder, "model_index.json"))) return folder;
  throw new StillmotionError(
    "invalid-checkpoint",
    `${folder}: the checkpoint that comes with stillmotion is missing; install stillmotion again, ` +
      "or name another one with --model DIR",
  );
}
