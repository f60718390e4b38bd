/** What was given instead of a checkpoint's folder? Says what it is and what to give. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Message, message, StillmotionError } from "../../errors.ts";
import { fileSystemReason, isMissing } from "../../node/files/file-system-errors.ts";
import { isLoraFolder } from "../lora/find-lora.ts";
import { kindInWords } from "../single-file/file-kind.ts";

const expected =
  "expected a folder in diffusers layout, with model_index.json and the folders unet, vae and image_encoder";

/** Names in the folder. Throws the error that fits a path which is no folder, or has no `model_index.json`. */
export async function listCheckpointFolder(folder: string): Promise<readonly string[]> {
  let names: readonly string[];
  try {
    const stats = await stat(folder);
    if (!stats.isDirectory()) refuse(folder, `is no folder; ${expected}`);
    names = await readdir(folder);
  } catch (cause) {
    if (cause instanceof StillmotionError) throw cause;
    const problem = isMissing(cause) ? "there is no such folder" : `cannot be read (${fileSystemReason(cause)})`;
    throw new StillmotionError("invalid-checkpoint", `${folder}: ${problem}; ${expected}`, { cause });
  }
  if (!names.includes("model_index.json")) await refuseFolder(folder, names);
  return names;
}

/** True for a path at which a file lies: a checkpoint in a single file, when it is one. */
export async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
}

async function refuseFolder(folder: string, names: readonly string[]): Promise<never> {
  const inside = await subfolderWithIndex(folder, names);
  if (inside !== undefined) {
    refuse(folder, `has no model_index.json, but ${inside} has: give that folder`);
  }
  if (await isLoraFolder(folder)) refuse(folder, message`is ${kindInWords("lora", [])}`);
  if (names.includes("config.json")) {
    refuse(folder, "is one component of a checkpoint: give the folder above it, with model_index.json");
  }
  const shown = [...names].sort().slice(0, 8);
  const more = names.length > shown.length ? ` and ${names.length - shown.length} more` : "";
  const holds = names.length === 0 ? "it is empty" : `it holds ${shown.join(", ")}${more}`;
  refuse(folder, `has no model_index.json (${holds}); ${expected}`);
}

/** A checkpoint one level down, or in the `snapshots` of a Hugging Face cache entry. */
async function subfolderWithIndex(folder: string, names: readonly string[]): Promise<string | undefined> {
  for (const name of [...names].sort().slice(0, 64)) {
    const children = await readdir(join(folder, name)).catch((): string[] => []);
    if (children.includes("model_index.json")) return join(folder, name);
    if (name !== "snapshots") continue;
    for (const revision of children) {
      const files = await readdir(join(folder, name, revision)).catch((): string[] => []);
      if (files.includes("model_index.json")) return join(folder, name, revision);
    }
  }
  return undefined;
}

function refuse(where: string, problem: Message): never {
  throw new StillmotionError("invalid-checkpoint", message`${where}: ${problem}`);
}
