/** Which file of weights does a path to a file or a folder stand for, and which configuration lies beside it? */
import { StillmotionError } from "../../errors.ts";
import { readOptionalJsonFile } from "../checkpoint/json-file.ts";
import { type FileSource, kindAt, namesIn } from "../file-source.ts";
import { refusePickle } from "../safetensors/safetensors-header.ts";
import { listed, refuse } from "./check-lora.ts";
import type { ConfigBeside } from "./parse-lora.ts";

export interface FoundLora {
  readonly path: string;
  readonly beside?: ConfigBeside;
}

/** What PEFT and diffusers call their files. */
const peftConfig = "adapter_config.json";
const usualNames = ["adapter_model.safetensors", "pytorch_lora_weights.safetensors"];

/** True for a folder that says by its names that it is a LoRA's. */
export async function isLoraFolder(files: FileSource, folder: string): Promise<boolean> {
  const names = await namesIn(files, folder);
  const isLoras = (name: string) => name === peftConfig || /^(adapter_model|pytorch_lora_weights)\./.test(name);
  return names.some(isLoras) && !names.includes("model_index.json");
}

/** @throws StillmotionError `invalid-checkpoint` or `unsupported` for a folder in which no LoRA is found, or several */
export async function findLora(files: FileSource, path: string): Promise<FoundLora> {
  if ((await kindAt(files, path)) === "folder") {
    const file = await fileIn(files, path);
    return { path: file, ...(await configBeside(files, file)) };
  }
  const { folder, name } = files.placeOf(path);
  // Of a file with a name of its own it is told only when there is no other that it could belong to.
  const isPefts = /^adapter_model(\..+)?\.safetensors$/.test(name);
  const isAlone = async () => (await namesIn(files, folder)).filter(isWeights).length === 1;
  return { path, ...((isPefts || (await isAlone())) && (await configBeside(files, path))) };
}

async function configBeside(files: FileSource, file: string): Promise<{ beside?: ConfigBeside }> {
  const where = files.join(files.placeOf(file).folder, peftConfig);
  const members = await readOptionalJsonFile(files, where);
  return members ? { beside: { members, where } } : {};
}

async function fileIn(files: FileSource, folder: string): Promise<string> {
  let names: string[];
  try {
    names = [...(await files.list(folder))].sort();
  } catch (cause) {
    const { reason } = files.problemOf(cause);
    throw new StillmotionError("invalid-checkpoint", `${folder}: cannot be read (${reason})`, { cause });
  }
  if (names.includes("model_index.json"))
    refuse(folder, "is a checkpoint's folder, not a LoRA's: give it as the model");
  const usual = usualNames.filter((name) => names.includes(name));
  const candidates = usual.length > 0 ? usual : names.filter(isWeights);
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return files.join(folder, only);
  if (only !== undefined) {
    const shown = listed(candidates, "file");
    refuse(folder, `holds ${shown.count} that may be the LoRA: ${shown.names}; give the file itself`);
  }
  const pickle = names.find((name) => /\.(bin|ckpt|pt|pth|pkl)$/i.test(name));
  if (pickle !== undefined) refusePickle(files.join(folder, pickle));
  const inside = await foldersWithLora(files, folder, names);
  const expected = `expected ${usualNames.join(" or ")}`;
  if (inside.length > 0) {
    const shown = listed(inside, "folder");
    refuse(
      folder,
      `holds no LoRA, but ${shown.names} ${inside.length === 1 ? "does: give that one" : "do: give one of them"}`,
    );
  }
  const shown = listed(names, "name");
  refuse(folder, `holds no LoRA, ${expected}; ${names.length === 0 ? "it is empty" : `it has ${shown.names}`}`);
}

function isWeights(name: string): boolean {
  return /\.safetensors$/i.test(name);
}

/** Folders inside that hold a LoRA: trainers make one for each of their checkpoints, PEFT one for each named adapter. */
async function foldersWithLora(files: FileSource, folder: string, names: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const name of names.slice(0, 64)) {
    const path = files.join(folder, name);
    const inside = await namesIn(files, path);
    if (usualNames.some((usual) => inside.includes(usual))) found.push(path);
  }
  return found;
}
