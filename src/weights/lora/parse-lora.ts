/** How does a LoRA come out of the bytes of a .safetensors file? Names in groups, shapes checked, alpha turned into a scale. */
import { bytesText } from "../../byte-sizes.ts";
import { StillmotionError } from "../../errors.ts";
import { floatsOf } from "../../floats.ts";
import { aligned, elementCount, ownBuffer, type Tensor, typedArray } from "../../tensor.ts";
import {
  dataTypeOf,
  parseSafetensorsHeader,
  type SafetensorsEntry,
  type SafetensorsHeader,
} from "../safetensors/safetensors-header.ts";
import { type AdapterConfig, readAdapterConfig } from "./adapter-config.ts";
import { assertNotTooLarge, type CompleteLayer, checkLora, refuse } from "./check-lora.ts";
import { configsInMetadata } from "./file-metadata.ts";
import { type LayerScale, scaleOf } from "./layer-scales.ts";
import type { Lora, LoraLayer } from "./lora.ts";
import { pathInPeft } from "./tensor-names.ts";

/** A configuration beside a LoRA's file, PEFT's `adapter_config.json`. */
export interface ConfigBeside {
  readonly members: Readonly<Record<string, unknown>>;
  /** For messages. */
  readonly where: string;
}

/** What a header and the configurations say, checked. */
export interface LoraOutline {
  readonly where: string;
  readonly layers: readonly CompleteLayer[];
  readonly configs: readonly AdapterConfig[];
}

/**
 * Reads the bytes of a whole LoRA file.
 *
 * @param where the file's path or another name, for messages
 * @throws StillmotionError `invalid-checkpoint` or `unsupported`, with what the file is instead
 */
export function parseLora(bytes: Uint8Array, where: string, beside?: ConfigBeside): Lora {
  const outline = outlineOf(parseSafetensorsHeader(bytes, bytes.length, where), where, beside);
  const memory = sharedMemory(entriesOf(outline), where);
  for (const [{ offset, sizeBytes }, place] of memory) place.set(bytes.subarray(offset, offset + sizeBytes));
  return loraOf(outline, memory);
}

/** What the header and the configurations tell before a tensor is read. Throws what is wrong with them. */
export function outlineOf(header: SafetensorsHeader, where: string, beside?: ConfigBeside): LoraOutline {
  // The configurations come first, because they say what another kind of adapter is.
  const ofFile = beside ? [readAdapterConfig(beside.members, beside.where)] : [];
  const configs = [...ofFile, ...configsInMetadata(header.metadata, where)];
  const layers = checkLora(header, where);
  assertNotTooLarge(
    layers.flatMap(({ down, up }) => [down.sizeBytes, up.sizeBytes]),
    where,
  );
  return { where, layers, configs };
}

/** The tensors that are read from the file. */
export function entriesOf({ layers }: LoraOutline): SafetensorsEntry[] {
  return layers.flatMap(({ down, up, alpha }) => (alpha ? [down, up, alpha] : [down, up]));
}

/** Memory for the bytes of tensors, one block that threads share. */
export function sharedMemory(entries: readonly SafetensorsEntry[], where: string): Map<SafetensorsEntry, Uint8Array> {
  const sizeBytes = entries.reduce((sum, entry) => sum + aligned(entry.sizeBytes), 0);
  let buffer: SharedArrayBuffer;
  try {
    buffer = new SharedArrayBuffer(sizeBytes);
  } catch (cause) {
    throw new StillmotionError("out-of-memory", `${where}: no memory for its ${bytesText(sizeBytes)}`, { cause });
  }
  let offset = 0;
  return new Map(
    entries.map((entry) => {
      const place = new Uint8Array(buffer, offset, entry.sizeBytes);
      offset += aligned(entry.sizeBytes);
      return [entry, place];
    }),
  );
}

/** @param memory holds the bytes of {@link entriesOf} */
export function loraOf(outline: LoraOutline, memory: ReadonlyMap<SafetensorsEntry, Uint8Array>): Lora {
  const { where } = outline;
  const scales = scalesOf(outline, memory);
  const halfOf = (entry: SafetensorsEntry): Tensor => {
    const dtype = dataTypeOf(entry, where);
    const { buffer, byteOffset } = memory.get(entry)!;
    const data = typedArray(dtype, buffer, byteOffset, elementCount(entry.shape));
    return { dtype, shape: entry.shape, data };
  };
  const layers = outline.layers.map((complete, index): LoraLayer => {
    const { layer, spelling, down, up } = complete;
    const { scale } = scales[index]!;
    const halves = { up: { ...halfOf(up), shape: up.shape.slice(0, 2) }, down: halfOf(down) };
    return { layer, spelling, rank: down.shape[0]!, scale, ...halves };
  });
  return { name: where, layers, assumptions: assumptionsOf(outline, scales) };
}

/**
 * The scale of each layer.
 *
 * @param memory holds the bytes of the alphas
 */
export function scalesOf(
  { layers, configs, where }: LoraOutline,
  memory: ReadonlyMap<SafetensorsEntry, Uint8Array>,
): LayerScale[] {
  return layers.map(({ layer, spelling, down, alpha }) => {
    const ownAlpha = alpha && numberIn(alpha, memory.get(alpha)!, where);
    if (ownAlpha !== undefined && !Number.isFinite(ownAlpha)) refuse(where, `${layer} has the alpha ${ownAlpha}`);
    const configured = {
      name: layer,
      paths: spelling === "kohya" ? [] : [...new Set([layer, pathInPeft(down.name)])],
      hasKernel: down.shape.slice(2).some((taps) => taps > 1),
    };
    return scaleOf(configured, down.shape[0]!, ownAlpha, configs);
  });
}

/** One sentence for each thing that was assumed, with how many layers it is about. */
export function assumptionsOf({ where }: LoraOutline, scales: readonly LayerScale[]): string[] {
  const notes = scales.flatMap(({ note = [] }) => note);
  return [...new Set(notes)].map((note) => {
    const count = notes.filter((each) => each === note).length;
    const layers = count === scales.length ? "" : ` (${count} of its ${scales.length} layers)`;
    return `${where}: ${note}${layers}`;
  });
}

function numberIn(entry: SafetensorsEntry, bytes: Uint8Array, where: string): number {
  // NumPy stores a plain number so; no other tensor may have this format.
  if (entry.dtype === "F64") return new Float64Array(ownBuffer(bytes))[0]!;
  const dtype = dataTypeOf(entry, where);
  return floatsOf({ dtype, data: typedArray(dtype, ownBuffer(bytes)) })[0]!;
}
