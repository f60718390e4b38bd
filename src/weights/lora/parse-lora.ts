/** How does a LoRA come out of the bytes of a .safetensors file? Names in groups, shapes checked, alpha turned into a scale. */
import { floatsOf } from "../../floats.ts";
import type { Tensor } from "../../tensor.ts";
import { decodeSafetensors } from "../safetensors.ts";
import { parseSafetensorsHeader, type SafetensorsHeader } from "../safetensors-header.ts";
import { scaleFromMetadata } from "./adapter-metadata.ts";
import { assertNotTooLarge, checkLora, refuse } from "./check-lora.ts";
import type { Lora } from "./lora.ts";

/**
 * Reads the bytes of a whole LoRA file.
 *
 * @param where the file's path or another name, for messages
 * @throws StillmotionError `invalid-checkpoint` or `unsupported`, with what the file is instead
 */
export function parseLora(bytes: Uint8Array, where: string): Lora {
  const header = parseSafetensorsHeader(bytes, bytes.length, where);
  assertReadable(header, where);
  return loraOf(header, decodeSafetensors(bytes, where).tensors, where);
}

/** Throws unless {@link loraOf} can read the file, before its tensors are read. */
export function assertReadable(header: SafetensorsHeader, where: string): void {
  const layers = checkLora(header, where);
  assertNotTooLarge(
    layers.flatMap(({ down, up }) => [down.sizeBytes, up.sizeBytes]),
    where,
  );
}

/** @param tensors those that the header names */
export function loraOf(header: SafetensorsHeader, tensors: Readonly<Record<string, Tensor>>, where: string): Lora {
  const metadataScale = scaleFromMetadata(header.metadata, where);
  const layers = checkLora(header, where).map(({ layer, spelling, ...entries }) => {
    const [up, down] = [tensors[entries.up.name]!, tensors[entries.down.name]!];
    const rank = down.shape[0]!;
    const alpha = entries.alpha && floatsOf(tensors[entries.alpha.name]!)[0]!;
    if (alpha !== undefined && !Number.isFinite(alpha)) refuse(where, `${layer} has the alpha ${alpha}`);
    const scale = alpha === undefined ? (metadataScale(layer, rank) ?? 1) : alpha / rank;
    return { layer, spelling, rank, scale, up: { ...up, shape: up.shape.slice(0, 2) }, down };
  });
  return { name: where, layers };
}
