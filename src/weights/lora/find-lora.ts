/** Which file of weights does a path stand for, and which configuration lies beside it? The path is a file's or a folder's. */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { StillmotionError } from "../../errors.ts";
import { fileSystemReason } from "../../node/files/file-system-errors.ts";
import { readOptionalJsonFile } from "../checkpoint/json-file.ts";
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
export async function isLoraFolder(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch((): string[] => []);
  const isLoras = (name: string) => name === peftConfig || /^(adapter_model|pytorch_lora_weights)\./.test(name);
  return names.some(isLoras) && !names.includes("model_index.json");
}

/** @throws StillmotionError `invalid-checkpoint` or `unsupported` for a folder in which no LoRA is found, or several */
export async function findLora(path: string): Promise<FoundLora> {
  const isFolder = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (isFolder) {
    const file = await fileIn(path);
    return { path: file, ...(await configBeside(file)) };
  }
  // Of a file with a name of its own it is told only when there is no other that it could belong to.
  const isPefts = /^adapter_model(\..+)?\.safetensors$/.test(basename(path));
  const isAlone = async () => (await readdir(dirname(path)).catch((): string[] => [])).filter(isWeights).length === 1;
  return { path, ...((isPefts || (await isAlone())) && (await configBeside(path))) };
}

async function configBeside(file: string): Promise<{ beside?: ConfigBeside }> {
  const where = join(dirname(file), peftConfig);
  const members = await readOptionalJsonFile(where);
  return members ? { beside: { members, where } } : {};
}

async function fileIn(folder: string): Promise<string> {
  let names: string[];
  try {
    names = (await readdir(folder)).sort();
  } catch (cause) {
    throw new StillmotionError("invalid-checkpoint", `${folder}: cannot be read (${fileSystemReason(cause)})`, {
      cause,
    });
  }
  if (names.includes("model_index.json"))
    refuse(folder, "is a checkpoint's folder, not a LoRA's: give it as the model");
  const usual = usualNames.filter((name) => names.includes(name));
  const candidates = usual.length > 0 ? usual : names.filter(isWeights);
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return join(folder, only);
  if (only !== undefined) {
    const shown = listed(candidates, "file");
    refuse(folder, `holds ${shown.count} that may be the LoRA: ${shown.names}; give the file itself`);
  }
  const pickle = names.find((name) => /\.(bin|ckpt|pt|pth|pkl)$/i.test(name));
  if (pickle !== undefined) refusePickle(join(folder, pickle));
  const inside = await foldersWithLora(folder, names);
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

/** Trainers put each of their checkpoints into a folder of its own, PEFT each adapter with a name. */
async function foldersWithLora(folder: string, names: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const name of names.slice(0, 64)) {
    const inside = await readdir(join(folder, name)).catch((): string[] => []);
    if (usualNames.some((usual) => inside.includes(usual))) found.push(join(folder, name));
  }
  return found;
}
