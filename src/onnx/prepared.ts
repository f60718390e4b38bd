/**
 * How does a stored weight become what a session computes with, before it starts? To fp32, with what LoRAs add; for a product
 * of bytes then to int8 with a scale for each output.
 */
import { StillmotionError } from "../errors.ts";
import { bfloat16ToFloat32, float16ToFloat32 } from "../half.ts";
import { type DataType, elementCount, type Tensor } from "../tensor.ts";

/** A weight (outputs, inputs, ...kernel) in a file. */
export interface StoredWeight {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  /** Bare name of a file in the model's weights folder. */
  readonly file: string;
  readonly offset: number;
  /** `scale * (up x down)` with up (outputs, rank) and down (rank, elements of an output), which are added. */
  readonly additions?: readonly { readonly scale: number; readonly up: Tensor; readonly down: Tensor }[];
}

/** A weight and the initializers that are made of it. */
export type PreparedWeight = FloatWeight | Int8Weight;

interface FloatWeight {
  readonly kind: "float32";
  readonly source: StoredWeight;
  /** The initializer that gets the values, in the shape of the weight. */
  readonly values: string;
}

export interface Int8Weight {
  /** Whether the values are a `matrix` (taps * inputs, outputs), the kernel's taps one after the other, or in the weight's own shape. */
  readonly kind: "int8 matrix" | "int8 rows";
  readonly source: StoredWeight;
  /** The initializer that gets the values as int8. */
  readonly bytes: string;
  /** The initializer that gets the scale of each output. */
  readonly scales: string;
}

/** The largest value that both signs of an int8 have. */
const largestInt8 = 127;

/** Elements `start` to `end` of a stored tensor, as they lie there. The caller is done with them at the next call. */
export type ReadElements = (start: number, end: number) => Uint8Array<ArrayBuffer>;

/** Outputs that are worked on together: a cache line of an int8 matrix. */
const outputsTogether = 64;

/** Fills `values`, some outputs at a time. */
export function floatsOfWeight(source: StoredWeight, read: ReadElements, values: Float32Array<ArrayBuffer>): void {
  const perOutput = values.length / source.shape[0]!;
  const addAll = additionsTo(source);
  for (let first = 0; first < source.shape[0]!; first += outputsTogether) {
    const count = Math.min(outputsTogether, source.shape[0]! - first);
    const rows = values.subarray(first * perOutput, (first + count) * perOutput);
    toFloat32(source.dtype, read(first * perOutput, (first + count) * perOutput), rows);
    addAll(rows, first, count);
  }
}

/**
 * Fills `bytes` and `scales`. Each output has a scale of its own, around 0: its largest weight becomes 127 or -127.
 *
 * @param scratch memory for `scratchLength` numbers, so that thousands of blocks touch no new pages
 */
export function quantiseWeight(
  source: StoredWeight,
  read: ReadElements,
  scratch: Float32Array<ArrayBuffer>,
  { kind, bytes, scales }: { kind: Int8Weight["kind"]; bytes: Int8Array; scales: Float32Array },
): void {
  const [outputs, inputs, ...kernel] = source.shape as [number, number, ...number[]];
  if (kind === "int8 matrix" && outputs % 4 !== 0) {
    throw new StillmotionError("internal", `int8 weights of ${outputs} outputs, no multiple of 4`);
  }
  const taps = elementCount(kernel);
  const perOutput = inputs * taps;
  const addAll = additionsTo(source);
  for (let first = 0; first < outputs; first += outputsTogether) {
    const count = Math.min(outputsTogether, outputs - first);
    const stored = read(first * perOutput, (first + count) * perOutput);
    const rows = scratch.subarray(0, count * perOutput);
    toFloat32(source.dtype, stored, rows);
    addAll(rows, first, count);
    const steps = new Float64Array(count); // that a weight of 1 is long
    for (let row = 0; row < count; row++) {
      const largest = largestMagnitude(rows, row * perOutput, (row + 1) * perOutput);
      scales[first + row] = largest / largestInt8;
      steps[row] = largest === 0 ? 0 : largestInt8 / largest;
    }
    if (kind === "int8 matrix") rowsToColumns(rows, steps, bytes, { first, outputs, inputs, taps });
    else rowsToBytes(rows, steps, bytes.subarray(first * perOutput, (first + count) * perOutput));
  }
}

/** How many numbers are worked on at once. */
export function scratchLength({ shape }: StoredWeight): number {
  return Math.min(outputsTogether, shape[0]!) * elementCount(shape.slice(1));
}

function largestMagnitude(values: Float32Array, start: number, end: number): number {
  let largest = 0;
  for (let index = start; index < end; index++) {
    const magnitude = Math.abs(values[index]!);
    if (magnitude > largest) largest = magnitude;
  }
  return largest;
}

function rowsToBytes(rows: Float32Array, steps: Float64Array, bytes: Int8Array): void {
  const perOutput = rows.length / steps.length;
  for (const [row, step] of steps.entries()) {
    // Half a step more than 128 makes truncation round.
    for (let at = row * perOutput; at < (row + 1) * perOutput; at++) bytes[at] = ((rows[at]! * step + 128.5) | 0) - 128;
  }
}

/** Four outputs are written as one word, which halves the time. */
function rowsToColumns(
  rows: Float32Array,
  steps: Float64Array,
  matrix: Int8Array,
  { first, outputs, inputs, taps }: { first: number; outputs: number; inputs: number; taps: number },
): void {
  const words = new Int32Array(matrix.buffer, matrix.byteOffset, matrix.length / 4);
  const perOutput = inputs * taps;
  for (let input = 0; input < inputs; input++) {
    for (let tap = 0; tap < taps; tap++) {
      let word = ((tap * inputs + input) * outputs + first) / 4;
      let from = input * taps + tap;
      for (let row = 0; row < steps.length; row += 4) {
        // Half a step more than 128 makes truncation round, and the sign bit of each byte is turned back by the xor.
        const a = rows[from]! * steps[row]! + 128.5;
        const b = rows[from + perOutput]! * steps[row + 1]! + 128.5;
        const c = rows[from + 2 * perOutput]! * steps[row + 2]! + 128.5;
        const d = rows[from + 3 * perOutput]! * steps[row + 3]! + 128.5;
        words[word++] = (a | 0 | ((b | 0) << 8) | ((c | 0) << 16) | ((d | 0) << 24)) ^ 0x80808080;
        from += 4 * perOutput;
      }
    }
  }
}

/** Adds to `count` rows of the weight, from row `first` on, what LoRAs add there (Hu et al. 2021, "LoRA", section 4.1). */
function additionsTo({ additions = [] }: StoredWeight): (rows: Float32Array, first: number, count: number) => void {
  const products = additions.map(({ scale, up, down }) => ({ scale, up: ownFloats(up), down: ownFloats(down) }));
  return (rows, first, count) => {
    for (const product of products) addRows(rows, product, first, count);
  };
}

/** rows += scale * (up x down). */
function addRows(
  rows: Float32Array,
  { scale, up, down }: { scale: number; up: Float32Array; down: Float32Array },
  first: number,
  count: number,
): void {
  const perOutput = rows.length / count;
  const rank = down.length / perOutput;
  for (let row = 0; row < count; row++) {
    const target = rows.subarray(row * perOutput, (row + 1) * perOutput);
    for (let r = 0; r < rank; r++) {
      const factor = scale * up[(first + row) * rank + r]!;
      const added = down.subarray(r * perOutput, (r + 1) * perOutput);
      for (let index = 0; index < perOutput; index++) target[index]! += factor * added[index]!;
    }
  }
}

function ownFloats({ dtype, shape, data }: Tensor): Float32Array {
  const floats = new Float32Array(elementCount(shape));
  toFloat32(dtype, data, floats);
  return floats;
}

function toFloat32(dtype: DataType, stored: ArrayBufferView, floats: Float32Array<ArrayBuffer>): void {
  const { buffer, byteOffset } = stored as ArrayBufferView<ArrayBuffer>;
  const convert = converters[dtype];
  if (!convert) throw new StillmotionError("internal", `a weight has dtype ${dtype}, expected floating point`);
  convert(buffer, byteOffset, floats);
}

type Convert = (buffer: ArrayBuffer, byteOffset: number, floats: Float32Array<ArrayBuffer>) => void;

const converters: Partial<Record<DataType, Convert>> = {
  float32: (buffer, at, floats) => floats.set(new Float32Array(buffer, at, floats.length)),
  float16: (buffer, at, floats) => float16ToFloat32(new Uint16Array(buffer, at, floats.length), floats),
  bfloat16: (buffer, at, floats) => bfloat16ToFloat32(new Uint16Array(buffer, at, floats.length), floats),
};
