/** How do tensors become the bytes of a .safetensors file and back? For small files that are held in memory whole. */
import { StillmotionError } from "../../errors.ts";
import { bytesPerElement, elementCount, ownBuffer, type Tensor, typedArray } from "../../tensor.ts";
import { dataTypeOf, dataTypes, parseSafetensorsHeader } from "./safetensors-header.ts";

export { parseSafetensorsHeader } from "./safetensors-header.ts";

/**
 * Writes tensors as the bytes of a .safetensors file. The same tensors give the same bytes: data lie by falling element
 * size, then by name, each aligned to its element size.
 *
 * @example
 * await writeFile("latents.safetensors", encodeSafetensors({ latents }, { seed: "42" }));
 */
export function encodeSafetensors(
  tensors: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const sorted = Object.entries(tensors).sort(
    ([nameA, a], [nameB, b]) => bytesPerElement[b.dtype] - bytesPerElement[a.dtype] || (nameA < nameB ? -1 : 1),
  );
  const members: string[] = [];
  const metadataKeys = Object.keys(metadata).sort();
  if (metadataKeys.length > 0) {
    members.push(`"__metadata__":{${metadataKeys.map((key) => `${quoted(key)}:${quoted(metadata[key]!)}`).join()}}`);
  }
  let dataBytes = 0;
  for (const [name, { dtype, shape, data }] of sorted) {
    if (name === "__metadata__") throw new StillmotionError("internal", "a tensor cannot be named __metadata__");
    if (data.length !== elementCount(shape) || data.BYTES_PER_ELEMENT !== bytesPerElement[dtype]) {
      const given = `${data.length} values of ${data.BYTES_PER_ELEMENT} bytes`;
      throw new StillmotionError("internal", `${name}: ${given} do not fill ${dtype} [${shape.join(", ")}]`);
    }
    const format = Object.keys(dataTypes).find((key) => dataTypes[key] === dtype);
    const end = dataBytes + data.byteLength;
    members.push(
      `${quoted(name)}:{"dtype":"${format}","shape":[${shape.join(",")}],"data_offsets":[${dataBytes},${end}]}`,
    );
    dataBytes = end;
  }
  const json = new TextEncoder().encode(`{${members.join(",")}}`);
  const headerBytes = Math.ceil(json.length / 8) * 8;

  const bytes = new Uint8Array(8 + headerBytes + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.set(json, 8);
  bytes.fill(0x20, 8 + json.length, 8 + headerBytes);
  let offset = 8 + headerBytes;
  for (const [, { data }] of sorted) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return bytes;
}

/**
 * Reads the bytes of a whole .safetensors file, copying each tensor: for latents, frames and test data, not for checkpoints.
 *
 * @throws StillmotionError as {@link parseSafetensorsHeader}, and `unsupported` for number formats such as F64
 */
export function decodeSafetensors(
  bytes: Uint8Array,
  where: string,
): { tensors: Record<string, Tensor>; metadata: Readonly<Record<string, string>> } {
  const { entries, metadata } = parseSafetensorsHeader(bytes, bytes.length, where);
  const tensors: Record<string, Tensor> = Object.create(null);
  for (const [name, entry] of entries) {
    const dtype = dataTypeOf(entry, where);
    const buffer = ownBuffer(bytes.subarray(entry.offset, entry.offset + entry.sizeBytes));
    tensors[name] = { dtype, shape: entry.shape, data: typedArray(dtype, buffer) };
  }
  return { tensors, metadata };
}

function quoted(text: string): string {
  if (!text.isWellFormed()) throw new StillmotionError("internal", `${JSON.stringify(text)} is not valid Unicode`);
  return JSON.stringify(text);
}
