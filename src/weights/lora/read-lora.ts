/** How is a LoRA read from its files? */
import type { FileSource } from "../file-source.ts";
import { readTensorsInto } from "../safetensors/safetensors-file.ts";
import type { SafetensorsEntry } from "../safetensors/safetensors-header.ts";
import { findLora } from "./find-lora.ts";
import type { LayerScale } from "./layer-scales.ts";
import type { Lora } from "./lora.ts";
import { assumptionsOf, entriesOf, type LoraOutline, loraOf, outlineOf, scalesOf, sharedMemory } from "./parse-lora.ts";

/**
 * Reads a LoRA: as diffusers and PEFT write it, in diffusers' older form, or as kohya's scripts write it.
 *
 * @param path a file, or the folder that PEFT or diffusers has written
 * @throws StillmotionError `invalid-checkpoint` or `unsupported`, with what the file is instead
 */
export async function readLora(files: FileSource, path: string): Promise<Lora> {
  const { outline, memory } = await readEntries(files, path, entriesOf);
  return loraOf(outline, memory);
}

/** The scale of each of its layers, and what was assumed of them; without reading the matrices. */
export async function readScales(
  files: FileSource,
  path: string,
): Promise<{ readonly scales: readonly LayerScale[]; readonly assumptions: readonly string[] }> {
  const alphasOf = ({ layers }: LoraOutline) => layers.flatMap(({ alpha = [] }) => alpha);
  const { outline, memory } = await readEntries(files, path, alphasOf);
  const scales = scalesOf(outline, memory);
  return { scales, assumptions: assumptionsOf(outline, scales) };
}

async function readEntries(files: FileSource, path: string, wanted: (outline: LoraOutline) => SafetensorsEntry[]) {
  const { path: file, beside } = await findLora(files, path);
  return readTensorsInto(files, file, (header) => {
    const outline = outlineOf(header, file, beside);
    return { outline, memory: sharedMemory(wanted(outline), file) };
  });
}
