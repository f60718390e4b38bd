/** How is one weight worked out? By small sessions of the thread's own, as many outputs at a time as stay in the processor's cache. */
import { StillmotionError } from "../../errors.ts";
import { areFinite, lookAtStored } from "../../finite.ts";
import { fillDown, fillUp, rankOfAdditions } from "../../onnx/stored-weight.ts";
import { conversionOf, type PreparedWeight, transpositions, transpositionsOf } from "../../onnx/weight-recipes.ts";
import { bytesPerElement, type DataType, elementCount, emptyBuffer } from "../../tensor.ts";
import { type Handle, viewOfMemory } from "./api.ts";
import type { PlacedTensor } from "./messages.ts";
import { cpuProvider } from "./provider.ts";
import { createSession, type Runtime, runInPlace } from "./session.ts";

/** A weight, and the native memory of the initializers that are made of it. */
export interface Preparation {
  readonly weight: PreparedWeight;
  readonly values: Handle;
  readonly scales?: Handle;
}

/** Fills `target` with the elements of a stored tensor from `start` on. */
export type ReadElements = (start: number, target: Uint8Array) => void;

export interface Preparer {
  prepare(preparation: Preparation, read: ReadElements): void;
  release(): void;
}

/** How many numbers are worked on at once: 2 MB in fp32. */
const elementsTogether = 512 * 1024;

/** (outputs, inputs, taps) of what is made of a weight, and how many outputs are worked on at once. */
function sizesOf({ source, values }: PreparedWeight) {
  const [outputs, inputs = 1] = source.shape as [number, ...number[]];
  const [storedPerOutput, perOutput] = [source.shape, values.shape].map((shape) => elementCount(shape) / outputs) as [
    number,
    number,
  ];
  const taps = perOutput / inputs;
  const together = Math.min(outputs, Math.max(1, Math.floor(elementsTogether / storedPerOutput)));
  const rank = rankOfAdditions(source);
  return { outputs, inputs, taps, storedPerOutput, perOutput, together, rank };
}

/**
 * For the calling thread, which may get any of the weights.
 *
 * @param graphs those of the weights, from `preparationGraphs`
 */
export function createPreparer(
  runtime: Runtime,
  graphs: ReadonlyMap<string, Uint8Array>,
  weights: readonly PreparedWeight[],
): Preparer {
  const sizes = weights.map(sizesOf);
  const largestStored = Math.max(...sizes.map(({ together, storedPerOutput }) => together * storedPerOutput));
  const largestBlock = Math.max(...sizes.map(({ together, perOutput }) => together * perOutput));
  const largestWeight = Math.max(...sizes.map(({ outputs, perOutput }) => outputs * perOutput));
  const largestUp = Math.max(...sizes.map(({ together, rank }) => together * rank));
  const largestDown = Math.max(...sizes.map(({ storedPerOutput, rank }) => rank * storedPerOutput));
  const storedBlock = new Uint8Array(largestStored * bytesPerElement.float32);
  const int8Block = new Int8Array(largestBlock);
  const int8Rows = new Int8Array(largestWeight);
  const upBlock = new Float32Array(largestUp);
  const downs = new Float32Array(largestDown);
  const programs = new Map<string, Program>();

  function programOf(name: string): Program {
    const program = programs.get(name) ?? createProgram(runtime, name, graphs.get(name)!);
    programs.set(name, program);
    return program;
  }

  function transpose(name: keyof typeof transpositions, from: PlacedTensor, memory: PlacedTensor["memory"]): void {
    const shape = transpositions[name].map((axis) => from.shape[axis]!);
    programOf(name).run({ values: from, transposed: { dtype: "int8", shape, memory } });
  }

  return {
    prepare({ weight, values, scales }, read) {
      const { source } = weight;
      const { dtype } = source;
      const { outputs, inputs, taps, storedPerOutput, perOutput, together, rank } = sizesOf(weight);
      const { name, to, isAddedTo } = conversionOf(weight);
      if (isAddedTo) fillDown(source, downs);
      const moves = transpositionsOf(weight);
      const [hasTapsMoved, hasOutputsMoved] = [moves.includes("tapsFirst"), moves.includes("outputsLast")];
      for (let first = 0; first < outputs; first += together) {
        const count = Math.min(together, outputs - first);
        const stored = storedBlock.subarray(0, count * storedPerOutput * bytesPerElement[dtype]);
        read(first * storedPerOutput, stored);
        const rows = hasOutputsMoved ? int8Rows.subarray(first * perOutput) : after(values, first * perOutput, to);
        const converted = { dtype: to, shape: [count, perOutput], memory: hasTapsMoved ? int8Block : rows };
        if (isAddedTo) fillUp(source, { first, count }, upBlock);
        const sums = new Float32Array(count);
        const ofScales: PlacedTensor | undefined =
          scales === undefined
            ? undefined
            : { dtype: "float32", shape: [count], memory: after(scales, first, "float32") };
        programOf(name).run({
          stored: { dtype, shape: [count, storedPerOutput], memory: stored },
          ...(source.scales && { factors: factorsOf(source.scales, first, count) }),
          ...(isAddedTo && {
            up: { dtype: "float32", shape: [count, rank], memory: upBlock },
            down: { dtype: "float32", shape: [rank, storedPerOutput], memory: downs },
          }),
          values: converted,
          sums: { dtype: "float32", shape: [count], memory: sums },
          ...(ofScales && { scales: ofScales }),
        });
        if (!areFinite(sums)) assertFinite(weight, stored, sums, ofScales ?? converted);
        if (hasTapsMoved) transpose("tapsFirst", { ...converted, shape: [count, inputs, taps] }, rows);
      }
      if (hasOutputsMoved) {
        transpose("outputsLast", { dtype: "int8", shape: [outputs, perOutput], memory: int8Rows }, values);
      }
    },
    release() {
      for (const { release } of programs.values()) release();
      for (const { buffer } of [storedBlock, int8Block, int8Rows, upBlock, downs]) emptyBuffer(buffer);
    },
  };
}

function after(start: Handle, elements: number, dtype: DataType): Handle {
  return start + BigInt(elements * bytesPerElement[dtype]);
}

/**
 * Sums alone may overflow where numbers are very large but finite. Then those decide that were made, or the scales of bytes, which are
 * of the largest number, with what is stored.
 */
function assertFinite(weight: PreparedWeight, stored: Uint8Array, sums: Float32Array, made: PlacedTensor): void {
  const { dtype, additions = [] } = weight.source;
  const bytes = elementCount(made.shape) * bytesPerElement.float32;
  const isStoredSo = lookAtStored(dtype, stored).first !== undefined;
  const mayBeFinite = !isStoredSo && areFinite(new Float32Array(viewOfMemory(made.memory as Handle, bytes).slice(0)));
  const hasNoOther = weight.scales === undefined || additions.length === 0 || !sums.some(Number.isNaN);
  if (mayBeFinite && hasNoOther) return;
  const problem =
    additions.length > 0 ? "is no longer finite with what LoRAs add" : "is so large that it is infinite in int8";
  throw notFiniteWeight(weight.name, isStoredSo ? undefined : problem);
}

/** The error for a weight; whoever runs the network says what to do. */
export function notFiniteWeight(name: string, problem = "holds numbers that are not finite"): StillmotionError {
  return new StillmotionError("not-finite", `the weight ${name} ${problem}`);
}

function factorsOf(scales: Float32Array, first: number, count: number): PlacedTensor {
  const factors = scales.length === 1 ? scales : scales.subarray(first, first + count);
  return { dtype: "float32", shape: [factors.length, 1], memory: factors };
}

/** A session that reads and writes where tensors are. */
interface Program {
  /** @param tensors inputs and outputs by name */
  run(tensors: { readonly [name: string]: PlacedTensor }): void;
  release(): void;
}

function createProgram(runtime: Runtime, name: string, bytes: Uint8Array): Program {
  const { api } = runtime;
  const sessionOptions = api.CreateSessionOptions();
  try {
    const session = createSession(runtime, {
      ...{ name, bytes, weightsFolder: undefined, provider: cpuProvider, threads: 1 },
      ...{ runMemory: "own", sessionOptions },
    });
    return {
      run: (tensors) => runInPlace(runtime, session, tensors),
      release: () => api.ReleaseSession(session.handle),
    };
  } finally {
    api.ReleaseSessionOptions(sessionOptions);
  }
}
