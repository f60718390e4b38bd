/** What was given instead of a checkpoint's folder? Says what it is and what to give. */
import { type Message, message, StillmotionError } from "../../errors.ts";
import { type FileSource, kindAt, namesIn } from "../file-source.ts";
import { isLoraFolder } from "../lora/find-lora.ts";
import { kindInWords } from "../single-file/file-kind.ts";

const expected =
  "expected a folder in diffusers layout, with model_index.json and the folders unet, vae and image_encoder";

/** Names in the folder. Throws the error that fits a path which is no folder, or has no `model_index.json`. */
export async function listCheckpointFolder(files: FileSource, folder: string): Promise<readonly string[]> {
  let names: readonly string[];
  try {
    const { kind } = await files.look(folder);
    if (kind !== "folder") refuse(folder, `is no folder; ${expected}`);
    names = await files.list(folder);
  } catch (cause) {
    if (cause instanceof StillmotionError) throw cause;
    const { isMissing, reason } = files.problemOf(cause);
    const problem = isMissing ? "there is no such folder" : `cannot be read (${reason})`;
    throw new StillmotionError("invalid-checkpoint", `${folder}: ${problem}; ${expected}`, { cause });
  }
  if (!names.includes("model_index.json")) await refuseFolder(files, folder, names);
  return names;
}

/** True for a path at which a file lies: a checkpoint in a single file, when it is one. */
export async function isFile(files: FileSource, path: string): Promise<boolean> {
  return (await kindAt(files, path)) === "file";
}

async function refuseFolder(files: FileSource, folder: string, names: readonly string[]): Promise<never> {
  const inside = await subfolderWithIndex(files, folder, names);
  if (inside !== undefined) {
    refuse(folder, `has no model_index.json, but ${inside} has: give that folder`);
  }
  if (await isLoraFolder(files, folder)) refuse(folder, message`is ${kindInWords("lora", [])}`);
  if (names.includes("config.json")) {
    refuse(folder, "is one component of a checkpoint: give the folder above it, with model_index.json");
  }
  const shown = [...names].sort().slice(0, 8);
  const more = names.length > shown.length ? ` and ${names.length - shown.length} more` : "";
  const holds = names.length === 0 ? "it is empty" : `it holds ${shown.join(", ")}${more}`;
  refuse(folder, `has no model_index.json (${holds}); ${expected}`);
}

/** A checkpoint one level down, or in the `snapshots` of a Hugging Face cache entry. */
async function subfolderWithIndex(
  files: FileSource,
  folder: string,
  names: readonly string[],
): Promise<string | undefined> {
  for (const name of [...names].sort().slice(0, 64)) {
    const children = await namesIn(files, files.join(folder, name));
    if (children.includes("model_index.json")) return files.join(folder, name);
    if (name !== "snapshots") continue;
    for (const revision of children) {
      const snapshot = files.join(folder, name, revision);
      if ((await namesIn(files, snapshot)).includes("model_index.json")) return snapshot;
    }
  }
  return undefined;
}

function refuse(where: string, problem: Message): never {
  throw new StillmotionError("invalid-checkpoint", message`${where}: ${problem}`);
}
