/** Is a file a LoRA that can be read? Judged by its header alone, with a message for what it is instead. */
import { type Message, message, option, StillmotionError } from "../../errors.ts";
import { printable } from "../../printable.ts";
import { floatingPoint } from "../../tensor.ts";
import { dataTypeOf, type SafetensorsHeader } from "../safetensors/safetensors-header.ts";
import { type GroupedTensors, groupTensors, hasPair, type LayerTensors } from "./group-tensors.ts";
import { looksLike } from "./looks-like.ts";
import { maxLoraBytes } from "./lora.ts";
import { otherAdapter } from "./tensor-names.ts";

/** A layer with both halves. */
export type CompleteLayer = LayerTensors & Required<Pick<LayerTensors, "down" | "up">>;

/**
 * The layers of a LoRA for the UNet.
 *
 * @throws StillmotionError `invalid-checkpoint` or `unsupported`
 */
export function checkLora(header: Pick<SafetensorsHeader, "entries">, where: string): readonly CompleteLayer[] {
  const grouped = groupTensors(header);
  refuseOtherAdapters(header, where);
  if (!hasPair(grouped)) refuseNoLora(header, grouped, where);
  const { doubles, layers, others } = grouped;
  if (others.length > 0) {
    const shown = listed(others, "tensor");
    refuse(where, `holds ${shown.count} that a LoRA does not have: ${shown.names}`);
  }
  for (const [first, second] of doubles) {
    refuse(where, `both ${printable(first)} and ${printable(second)} are the same part of one layer`);
  }
  refuseOtherNetworks(grouped, where);
  return layers.map((layer) => {
    const complete = checkComplete(layer, where);
    checkShapes(complete, where);
    return complete;
  });
}

function checkComplete(layer: LayerTensors, where: string): CompleteLayer {
  const { down, up, alpha } = layer;
  if (down && up) return { ...layer, down, up };
  const held = down ?? up ?? alpha!;
  const missing = down ? "half after the rank (lora_B, lora_up)" : "half before the rank (lora_A, lora_down)";
  return refuse(where, `holds ${printable(held.name)} without the layer's ${missing}: is the file complete?`);
}

function checkShapes({ down, up, alpha }: CompleteLayer, where: string): void {
  const rank = down.shape[0];
  const isPair = down.shape.length >= 2 && up.shape.length >= 2 && up.shape[1] === rank;
  if (!isPair || up.shape.slice(2).some((size) => size !== 1)) {
    const got = `${shapeText(down)} and ${shapeText(up)}`;
    refuse(where, `has ${got}, expected (rank, inputs, ...) and (outputs, rank), the same rank in both`);
  }
  if (rank === 0) refuse(where, `has ${shapeText(down)}, of rank 0`);
  if (alpha?.shape.some((size) => size !== 1)) refuse(where, `has ${shapeText(alpha)}, expected one number`);
  for (const entry of [down, up]) {
    if (floatingPoint.includes(dataTypeOf(entry, where))) continue;
    refuse(where, `${printable(entry.name)} is stored as ${entry.dtype}, expected F32, F16, BF16 or fp8`);
  }
}

/** Throws `unsupported` when the halves, of these sizes, are too large together. */
export function assertNotTooLarge(sizesBytes: readonly number[], where: string): void {
  const total = sizesBytes.reduce((sum, size) => sum + size, 0);
  if (total <= maxLoraBytes) return;
  throw new StillmotionError(
    "unsupported",
    `${where}: ${(total / 1e9).toFixed(1)} GB of low-rank matrices; at most ${maxLoraBytes / 1e9} GB in all can be added to a network: give fewer LoRAs, or ones of lower rank`,
  );
}

function refuseOtherAdapters({ entries }: Pick<SafetensorsHeader, "entries">, where: string): void {
  for (const name of entries.keys()) {
    const kind = otherAdapter(name);
    if (kind === undefined) continue;
    const problem = `${where}: is ${kind}, by its tensor ${printable(name)}; only plain LoRAs are read, pairs of two matrices`;
    throw new StillmotionError("unsupported", problem);
  }
}

function refuseNoLora(header: Pick<SafetensorsHeader, "entries">, grouped: GroupedTensors, where: string): never {
  const names = [...header.entries.keys()];
  const some = (pattern: RegExp) => names.some((name) => pattern.test(name));
  if (some(/^model\.diffusion_model\./)) {
    refuse(where, "is a whole checkpoint in a single file, not a LoRA: give it as the model");
  }
  if (some(/^conv_in\./) && some(/^down_blocks\./)) {
    refuse(where, message`is a UNet's own weights, not a LoRA: give it with ${option("unet")}`);
  }
  if (some(/^(decoder\.conv_in|vision_model\.embeddings)\b/) && some(/^(encoder|vision_model)\./)) {
    refuse(where, "is a network's own weights, not a LoRA: give the checkpoint's folder as the model");
  }
  const half = grouped.layers.find(({ down, up }) => down || up);
  if (half) checkComplete(half, where);
  const shown = listed(names, "tensor");
  refuse(where, `is no LoRA: it holds ${shown.count}${names.length > 0 ? `, such as ${shown.names}` : ""}`);
}

function refuseOtherNetworks(grouped: GroupedTensors, where: string): void {
  const elsewhere = grouped.layers.filter(({ network }) => network !== "unet");
  const [first] = elsewhere;
  if (!first) return;
  const likely = looksLike(grouped.layers);
  const made = likely ? `; it looks like a LoRA for ${likely.model}` : "";
  const isText = elsewhere.every(({ network }) => /^(te\d?|text_encoder)/.test(network));
  const part = isText ? "a text encoder, which Stable Video Diffusion does not have" : `"${first.network}"`;
  const shown = listed(
    elsewhere.map((layer) => (layer.down ?? layer.up ?? layer.alpha!).name),
    "layer",
  );
  refuse(
    where,
    `changes ${shown.count} of ${grouped.layers.length} in ${part}, only the unet's can be changed: ${shown.names}${made}`,
  );
}

/** How many there are, and the names of the first few. */
export function listed(names: readonly string[], what: string): { count: string; names: string } {
  const rest = names.length > 5 ? ` and ${names.length - 5} more` : "";
  return {
    count: `${names.length} ${what}${names.length === 1 ? "" : "s"}`,
    names: `${names.slice(0, 5).map(printable).join(", ")}${rest}`,
  };
}

function shapeText({ name, shape }: { name: string; shape: readonly number[] }): string {
  return `${printable(name)} of shape [${shape.join(", ")}]`;
}

export function refuse(where: string, problem: Message): never {
  throw new StillmotionError("invalid-checkpoint", message`${where}: ${problem}`);
}
