/**
 * Where do the tensors of a .safetensors file lie? Its header is read and checked here.
 *
 * The format: a little-endian 64-bit length, a JSON header of that length, then the data of all tensors without holes
 * (https://github.com/huggingface/safetensors#format). Everything in the header is hostile until checked. Beyond what the
 * official reader refuses, this one also refuses names given twice, unknown fields and headers above 25 MB. Reading never
 * holds more than four times the header's own length, and a megabyte.
 */
import { StillmotionError } from "../../errors.ts";
import { fail, type JsonCursor } from "../../json/json-cursor.ts";
import { expectEnd, readCount, readItems, readMembers } from "../../json/json-reader.ts";
import { readString } from "../../json/json-string.ts";
import { printable } from "../../printable.ts";
import { type DataType, elementCount } from "../../tensor.ts";

/** Where one tensor lies in its file. */
export interface SafetensorsEntry {
  readonly name: string;
  /** The format's own name: `F32`, `F16`, `BF16`, `I64` … */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** From the start of the file, in bytes; not aligned to anything. */
  readonly offset: number;
  readonly sizeBytes: number;
  /** Of a weight whose scales were found among the other tensors: see `takeScales`. */
  readonly scales?: Float32Array;
}

export interface SafetensorsHeader {
  /** By name, in the order of the data. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The longest header that is read; the header of a 1.5 B UNet takes 0.2 MB. */
const maxHeaderBytes = 25_000_000;
/** Published files have some thousands, of five axes at most. */
const maxTensors = 65_536;
const maxAxes = 16;
/** What is kept of a short text takes eight times the memory of its JSON. */
const maxMetadataTexts = 2048;

/** Bits of one element, for every number format that the official library 0.8 knows. */
const bitsPerElement = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
};

/** By name. Tensors share the name here, so that none keeps one of its own in memory. */
const numberFormats = new Map(Object.entries(bitsPerElement).map(([name, bits]) => [name, { name, bits }]));

/** The formats that tensors in memory and weights in graphs may have. */
export const dataTypes: Readonly<Record<string, DataType>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
  F8_E4M3: "float8_e4m3fn",
  F8_E5M2: "float8_e5m2",
  I64: "int64",
  I32: "int32",
  I8: "int8",
  U8: "uint8",
  BOOL: "bool",
};

/** The data type of an entry. Throws `unsupported` for formats such as F64 and F8_E4M3FNUZ. */
export function dataTypeOf(entry: SafetensorsEntry, where: string): DataType {
  const dtype = dataTypes[entry.dtype];
  if (dtype !== undefined) return dtype;
  const known = Object.keys(dataTypes).join(", ");
  throw new StillmotionError(
    "unsupported",
    `${where}: ${printable(entry.name)} is stored as ${entry.dtype}; stillmotion reads ${known}`,
  );
}

/**
 * Bytes from the start of the file that the header takes, its length field included. Needs the first 8 bytes; a few hundred
 * more make better messages for files of another kind.
 *
 * @throws StillmotionError `invalid-checkpoint`, or `unsupported` for pickles and other formats
 */
export function safetensorsHeaderBytes(bytes: Uint8Array, fileSizeBytes: number, where: string): number {
  if (fileSizeBytes === 0) refuse(where, "is empty: is this half a download?");
  if (bytes.length < 8) {
    refuseOtherFormats(bytes, where);
    refuse(where, `is ${fileSizeBytes} bytes long, too short for a .safetensors file: is this half a download?`);
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    refuseOtherFormats(bytes, where);
    refuse(
      where,
      `is not a .safetensors file: it announces a header of ${length} bytes, at most ${maxHeaderBytes} are read`,
    );
  }
  const end = 8 + Number(length);
  if (bytes.length > 8 && bytes[8] !== 0x7b) {
    refuseOtherFormats(bytes, where);
    refuse(where, `is not a .safetensors file: its header does not start with "{"`);
  }
  if (end > fileSizeBytes) {
    refuse(where, `is ${fileSizeBytes} bytes long, its header promises at least ${end}: is this half a download?`);
  }
  return end;
}

/**
 * Reads and checks the header of a .safetensors file.
 *
 * @param bytes the start of the file, at least as far as {@link safetensorsHeaderBytes} says
 * @param where the file's path, for messages
 * @throws StillmotionError `invalid-checkpoint` when anything in the header or the file's size is not as the format
 *   demands; `unsupported` when the file is a pickle or another format altogether
 */
export function parseSafetensorsHeader(bytes: Uint8Array, fileSizeBytes: number, where: string): SafetensorsHeader {
  const dataStart = safetensorsHeaderBytes(bytes, fileSizeBytes, where);
  if (bytes.length < dataStart) {
    throw new StillmotionError("internal", `${where}: ${bytes.length} bytes given, the header takes ${dataStart}`);
  }
  const cursor: JsonCursor = { bytes: bytes.subarray(8, dataStart), position: 0, where: `${where}: header` };
  if (cursor.bytes.length === 0) refuse(where, "its header is empty");

  const found: { metadata?: Record<string, string> } = {};
  const entries = new Map<string, SafetensorsEntry>();
  let inOrder = true;
  let previousEnd = dataStart;
  const scratch: number[] = [];
  readMembers(cursor, (name) => {
    if (name === "__metadata__") {
      if (found.metadata !== undefined) fail(cursor, "__metadata__ is given twice");
      found.metadata = readMetadata(cursor);
      return;
    }
    if (entries.size === maxTensors) refuse(where, `its header names more than ${maxTensors} tensors`);
    if (entries.has(name)) refuse(where, `its header names the tensor ${printable(name)} twice`);
    const entry = readEntry(cursor, name, dataStart, scratch, where);
    inOrder &&= entry.offset >= previousEnd;
    previousEnd = entry.offset + entry.sizeBytes;
    entries.set(name, entry);
  });
  expectEnd(cursor);

  if (!inOrder) {
    const sorted = [...entries.values()];
    entries.clear(); // before the sorting, which needs memory of its own
    sorted.sort((a, b) => a.offset - b.offset || a.sizeBytes - b.sizeBytes);
    for (const entry of sorted) entries.set(entry.name, entry);
  }
  checkLayout(entries, dataStart, fileSizeBytes, where);
  return { entries, metadata: found.metadata ?? {} };
}

/** Reads `{"dtype": …, "shape": […], "data_offsets": [start, end]}`. */
function readEntry(
  cursor: JsonCursor,
  name: string,
  dataStart: number,
  scratch: number[],
  where: string,
): SafetensorsEntry {
  const found: { dtype?: string; shape?: number[]; offsets?: number[] } = {};
  readMembers(cursor, (field) => {
    if (field === "dtype" && found.dtype === undefined) {
      found.dtype = readString(cursor);
    } else if (field === "shape" && found.shape === undefined) {
      found.shape = readCounts(cursor, scratch);
    } else if (field === "data_offsets" && found.offsets === undefined) {
      found.offsets = readCounts(cursor, scratch);
    } else {
      const problem =
        Object.hasOwn(found, field) || field === "data_offsets" ? "twice" : "which the format does not have";
      fail(cursor, `${printable(name)} has the field ${printable(field)}, ${problem}`);
    }
  });
  const { dtype, shape, offsets } = found;
  if (dtype === undefined || shape === undefined || offsets === undefined) {
    const missing = dtype === undefined ? "dtype" : shape === undefined ? "shape" : "data_offsets";
    refuse(where, `${printable(name)} has no ${missing} in the header`);
  }
  const [start, end] = offsets;
  if (start === undefined || end === undefined || offsets.length !== 2) {
    refuse(where, `${printable(name)} has ${offsets.length} data_offsets, expected a start and an end`);
  }

  const format = numberFormats.get(dtype);
  if (format === undefined) {
    const known = [...numberFormats.keys()].join(", ");
    refuse(where, `${printable(name)} has dtype ${printable(dtype)}, expected one of ${known}`);
  }
  const expectedBits = elementCount(shape) * format.bits;
  const described = () => `${printable(name)} of dtype ${dtype} and shape [${shape.join(", ")}]`;
  // Past 2^53 a product of floats only rounds, so it cannot fall back below.
  if (!(expectedBits <= Number.MAX_SAFE_INTEGER)) refuse(where, `${described()} is larger than any file`);
  if (expectedBits % 8 !== 0) refuse(where, `${described()} does not fill whole bytes`);
  if (end < start) refuse(where, `${printable(name)} has data_offsets [${start}, ${end}], which end before they start`);
  if (end - start !== expectedBits / 8) {
    const held = `its data_offsets [${start}, ${end}] hold ${end - start}`;
    refuse(where, `${described()} needs ${expectedBits / 8} bytes, ${held}`);
  }
  return { name, dtype: format.name, shape, offset: dataStart + start, sizeBytes: end - start };
}

/** Reads an array of counts. It is gathered in `scratch`, so that the result takes no more memory than it needs. */
function readCounts(cursor: JsonCursor, scratch: number[]): number[] {
  scratch.length = 0;
  readItems(cursor, () => {
    if (scratch.length === maxAxes) fail(cursor, `more than ${maxAxes} numbers in an array`);
    scratch.push(readCount(cursor));
  });
  return scratch.slice();
}

function readMetadata(cursor: JsonCursor): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  let count = 0;
  readMembers(cursor, (key) => {
    if (Object.hasOwn(metadata, key)) fail(cursor, `__metadata__ has ${printable(key)} twice`);
    if (++count > maxMetadataTexts) fail(cursor, `more than ${maxMetadataTexts} texts in __metadata__`);
    metadata[key] = readString(cursor);
  });
  return metadata;
}

/** The data must follow one another without holes or overlaps and end where the file ends. */
function checkLayout(
  entries: ReadonlyMap<string, SafetensorsEntry>,
  dataStart: number,
  fileSizeBytes: number,
  where: string,
): void {
  let end = dataStart;
  for (const entry of entries.values()) {
    if (entry.offset !== end) {
      const problem = entry.offset < end ? "overlaps the tensor before it" : "leaves a hole before it";
      const [got, expected] = [entry.offset - dataStart, end - dataStart];
      refuse(where, `${printable(entry.name)} ${problem}: its data start at ${got}, expected ${expected}`);
    }
    end += entry.sizeBytes;
  }
  if (fileSizeBytes < end) {
    refuse(where, `is ${fileSizeBytes} bytes long, its header promises ${end}: is this half a download?`);
  }
  if (fileSizeBytes > end) {
    refuse(
      where,
      `is ${fileSizeBytes} bytes long, but its last tensor ends at byte ${end}: is this another file's data?`,
    );
  }
}

/** Says what a file is that is plainly something else. */
function refuseOtherFormats(bytes: Uint8Array, where: string): void {
  const start = String.fromCharCode(...bytes.subarray(0, 64));
  const isPickle = bytes[0] === 0x80 && bytes[1]! <= 5;
  if (isPickle || start.startsWith("PK\u0003\u0004")) refusePickle(where); // torch wraps pickles in a zip
  if (/^\s*<(!doctype|html|\?xml)/i.test(start)) {
    refuse(where, "is a web page, not weights: download the file itself, not the page that shows it");
  }
  if (start.startsWith("version https://git-lfs")) {
    refuse(where, "is a git-lfs pointer, not the weights themselves: run `git lfs pull` in its repository");
  }
  if (/^\s*\{\s*["}]/.test(start)) refuse(where, "is a JSON file, expected a .safetensors file");
  if (start.startsWith("GGUF")) {
    throw new StillmotionError("unsupported", `${where}: is a GGUF file; use the checkpoint's .safetensors files`);
  }
}

/** Throws the error for weights that Python has pickled. */
export function refusePickle(where: string): never {
  throw new StillmotionError(
    "unsupported",
    `${where}: pickle weights (.bin, .ckpt, .pt) are not read, since they can run code when opened; ` +
      "get the checkpoint's .safetensors files instead",
  );
}

function refuse(where: string, problem: string): never {
  throw new StillmotionError("invalid-checkpoint", `${where}: ${problem}`);
}
