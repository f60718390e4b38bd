/** How does starting noise come from a file? The tensor `latents` of a .safetensors file, in any float format. */
import { message, option, StillmotionError, workFor } from "../../errors.ts";
import { floatsOf } from "../../floats.ts";
import { disk } from "../../node/files/disk.ts";
import { readSafetensorsHeader } from "../../node/weights.ts";
import { elementCount, type FloatTensor, floatingPoint, floatTensor } from "../../tensor.ts";
import { readTensor } from "../../weights/safetensors/safetensors-file.ts";
import type { SafetensorsEntry } from "../../weights/safetensors/safetensors-header.ts";

/**
 * @returns (clips, frames, channels, height, width); a file without the first axis holds one clip
 * @throws StillmotionError `invalid-option` when the file has no such tensor, `invalid-checkpoint` when it cannot be read
 */
export async function readLatents(path: string): Promise<FloatTensor> {
  const { entries } = await workFor(option("latents"), () => readSafetensorsHeader(path));
  const entry = entries.get("latents");
  if (!entry) {
    const names = [...entries.keys()].slice(0, 5).join(", ") || "no tensor";
    throw new StillmotionError(
      "invalid-option",
      message`${option("latents")}: ${path} holds ${names}, expected a tensor named latents`,
    );
  }
  const { shape } = entry;
  if ((shape.length !== 5 && shape.length !== 4) || elementCount(shape) === 0) {
    throw new StillmotionError(
      "invalid-option",
      message`${option("latents")}: ${path} has latents of shape [${shape.join(", ")}], expected (clips, frames, channels, height, width)`,
    );
  }
  return floatTensor(shape.length === 4 ? [1, ...shape] : shape, await readFloats(path, entry));
}

async function readFloats(path: string, entry: SafetensorsEntry): Promise<Float32Array> {
  const latents = await readTensor(disk, path, entry);
  if (floatingPoint.includes(latents.dtype)) return floatsOf(latents);
  throw new StillmotionError(
    "invalid-option",
    message`${option("latents")}: ${path} has latents of ${latents.dtype}, expected ${floatingPoint.join(", ")}`,
  );
}
