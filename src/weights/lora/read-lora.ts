/** How is a LoRA read from disk? */
import { readSafetensors, readSafetensorsHeader } from "../safetensors-file.ts";
import type { Lora } from "./lora.ts";
import { assertReadable, loraOf } from "./parse-lora.ts";

/**
 * Reads a LoRA file: as diffusers and PEFT write it, in diffusers' older form, or as kohya's scripts write it.
 *
 * @throws StillmotionError `invalid-checkpoint` or `unsupported`, with what the file is instead
 */
export async function readLora(path: string): Promise<Lora> {
  const header = await readSafetensorsHeader(path);
  assertReadable(header, path);
  const { tensors } = await readSafetensors(path);
  return loraOf(header, tensors, path);
}
