/** How does starting noise come from a file? The tensor `latents` of a .safetensors file, in any float format. */
import { message, option, StillmotionError, workFor } from "../errors.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "../half.ts";
import { elementCount, type FloatTensor, floatTensor } from "../tensor.ts";
import { readSafetensorsHeader, readTensorBytes } from "../weights/safetensors-file.ts";
import { dataTypeOf, type SafetensorsEntry } from "../weights/safetensors-header.ts";

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
  const dtype = dataTypeOf(entry, path);
  const bytes = await readTensorBytes(path, entry);
  switch (dtype) {
    case "float32":
      return new Float32Array(bytes.buffer);
    case "float16":
      return float16ToFloat32(new Uint16Array(bytes.buffer));
    case "bfloat16":
      return bfloat16ToFloat32(new Uint16Array(bytes.buffer));
    default:
      throw new StillmotionError(
        "invalid-option",
        message`${option("latents")}: ${path} has latents of ${dtype}, expected float32, float16 or bfloat16`,
      );
  }
}
