/** Where do the maps that a segment reads and writes lie while it runs, and how much memory do all segments share? */
import type { WorkspaceSize } from "../engine/engine.ts";
import type { WrittenSegment } from "../models/network.ts";
import { peakBufferBytes } from "../onnx/buffers.ts";
import { aligned, elementCount, type FloatTensor, floatTensor } from "../tensor.ts";

interface Place {
  readonly shape: readonly number[];
  readonly offset: number;
}

function layOut({ reads, writes, graph }: WrittenSegment) {
  let sizeBytes = 0;
  const place = (shape: readonly number[]): Place => {
    const offset = sizeBytes;
    sizeBytes += aligned(Float32Array.BYTES_PER_ELEMENT * elementCount(shape));
    return { shape, offset };
  };
  const inputs = new Map(reads.map(({ input, shape }) => [input, place(shape)]));
  const outputs = new Map(writes.map(({ name }) => [name, place(graph.edges.get(name)!.shape)]));
  return { inputs, outputs, sizeBytes };
}

/** The tensors of a segment's maps, by the names of its inputs and outputs. */
export function mapTensors(
  segment: WrittenSegment,
  memory: ArrayBuffer,
): { inputs: Record<string, FloatTensor>; outputs: Record<string, FloatTensor> } {
  const { inputs, outputs } = layOut(segment);
  const tensors = (places: ReadonlyMap<string, Place>) =>
    Object.fromEntries(
      Array.from(places, ([name, { shape, offset }]) => {
        return [name, floatTensor(shape, new Float32Array(memory, offset, elementCount(shape)))];
      }),
    );
  return { inputs: tensors(inputs), outputs: tensors(outputs) };
}

/** What an arena holds, divided by what a run has in use: pieces of many sizes leave holes. It is 1.2 to 1.35 with SVD-XT. */
const arenaShare = 1.25;

const known = new WeakMap<WrittenSegment, WorkspaceSize>();

function sizeOf(segment: WrittenSegment): WorkspaceSize {
  const { inputs, outputs, sizeBytes } = layOut(segment);
  const elsewhere = new Set([...inputs.keys(), ...outputs.keys()]);
  return { tensorBytes: sizeBytes, runBytes: Math.ceil(arenaShare * peakBufferBytes(segment.graph, elsewhere)) };
}

/** The memory that the segments of a clip share, beside their weights, when they run one after the other. */
export function workspaceSize(segments: readonly WrittenSegment[]): WorkspaceSize {
  const sizes = segments.map((segment) => {
    const size = known.get(segment) ?? sizeOf(segment);
    known.set(segment, size);
    return size;
  });
  return {
    tensorBytes: Math.max(...sizes.map(({ tensorBytes }) => tensorBytes)),
    runBytes: Math.max(...sizes.map(({ runBytes }) => runBytes)),
  };
}
