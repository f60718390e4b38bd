/** Do the weights of a file hold what no network can compute with? All numbers are read, a piece at a time. */
import { lookAtStored, type StoredLook } from "../../finite.ts";
import { floatsOf } from "../../floats.ts";
import { type DataType, floatingPoint, typedArray } from "../../tensor.ts";
import type { FileSource } from "../file-source.ts";
import { readPieces, readSafetensorsHeader } from "../safetensors/safetensors-file.ts";
import { dataTypes, type SafetensorsEntry } from "../safetensors/safetensors-header.ts";

/** What is worth saying of one tensor. */
export interface TensorFinding {
  readonly name: string;
  readonly nan: number;
  readonly infinite: number;
  /** Where the first number lies that is not finite, axis by axis. */
  readonly first: readonly number[] | undefined;
  readonly isZero: boolean;
  /** The largest magnitude, where float16 cannot hold it and the tensor's own format can. */
  readonly beyondFloat16: number | undefined;
}

export interface WeightsLook {
  readonly path: string;
  readonly tensors: number;
  readonly sizeBytes: number;
  /** Tensors of formats without NaN and infinity, and of formats that are not read, by the file's names of the formats. */
  readonly notLookedAt: Readonly<Record<string, number>>;
  readonly findings: readonly TensorFinding[];
}

const pieceBytes = 4 * 2 ** 20;
const largestFloat16 = 65504;

/** @throws StillmotionError `invalid-checkpoint` or `unsupported` where the file cannot be read */
export async function lookAtWeights(files: FileSource, path: string): Promise<WeightsLook> {
  const { entries } = await readSafetensorsHeader(files, path);
  const findings: TensorFinding[] = [];
  const notLookedAt: Record<string, number> = {};
  let sizeBytes = 0;
  for (const entry of entries.values()) {
    const dtype = dataTypes[entry.dtype];
    sizeBytes += entry.sizeBytes;
    if (dtype === undefined || !floatingPoint.includes(dtype)) {
      notLookedAt[entry.dtype] = (notLookedAt[entry.dtype] ?? 0) + 1;
      continue;
    }
    const finding = await lookAtTensor(files, path, entry, dtype);
    if (finding) findings.push(finding);
  }
  return { path, tensors: entries.size, sizeBytes, notLookedAt, findings };
}

async function lookAtTensor(
  files: FileSource,
  path: string,
  entry: SafetensorsEntry,
  dtype: DataType,
): Promise<TensorFinding | undefined> {
  let [nan, infinite, largestBits, elements] = [0, 0, 0, 0];
  let first: number | undefined;
  for await (const piece of readPieces(files, path, entry, pieceBytes)) {
    const look: StoredLook = lookAtStored(dtype, piece);
    nan += look.nan;
    infinite += look.infinite;
    if (look.first !== undefined) first ??= elements + look.first;
    largestBits = Math.max(largestBits, look.largestBits);
    elements += look.count;
  }
  const isZero = largestBits === 0 && elements > 0;
  const largest = first === undefined ? numberOf(dtype, largestBits) : 0;
  const beyondFloat16 = largest > largestFloat16 ? largest : undefined;
  if (first === undefined && !isZero && beyondFloat16 === undefined) return undefined;
  return {
    ...{ name: entry.name, nan, infinite, isZero, beyondFloat16 },
    first: first === undefined ? undefined : placeOf(first, entry.shape),
  };
}

/** The number that such bits stand for. */
function numberOf(dtype: DataType, bits: number): number {
  const { buffer } = Uint32Array.of(bits);
  return floatsOf({ dtype, data: typedArray(dtype, buffer) })[0]!;
}

/** Of the number at `index`, row by row. */
function placeOf(index: number, shape: readonly number[]): readonly number[] {
  const place: number[] = [];
  let rest = index;
  for (const size of shape.toReversed()) {
    place.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return place;
}
