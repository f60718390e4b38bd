/** How fast is this machine? A second or two of small graphs on the pipeline's own engine, one for each kind of work. */
import type { Engine, Session, Workspace } from "../engine/engine.ts";
import { StillmotionError } from "../errors.ts";
import type { Dtype } from "../lowering/lowerings.ts";
import {
  addConstant,
  addInput,
  addNamedConstant,
  addOutput,
  createGraph,
  type Edge,
  type Graph,
} from "../onnx/graph.ts";
import { memoryOf } from "../onnx/memory.ts";
import * as ops from "../onnx/ops.ts";
import { serialise } from "../onnx/serialise.ts";
import { type KindOfWork, kindsOfWork, workOf } from "../onnx/work.ts";
import { type ScratchSpace, scratchInMemoryBytes } from "../streaming/scratch.ts";
import { elementCount, floatTensor } from "../tensor.ts";

export interface Speeds {
  readonly multiplicationsPerSecond: Readonly<Record<KindOfWork, number>>;
  readonly movedBytesPerSecond: number;
  /** Writing to pages that come from the system takes so much longer: to be added to the time of moving the bytes. */
  readonly freshBytesPerSecond: number;
  /** To scratches and back, where they are files. */
  readonly scratchBytesPerSecond: number;
}

/** Speeds of no machine in particular, for what is not measured because no network needs it, or because it cannot be. */
const usualSpeeds: Omit<Speeds, "movedBytesPerSecond"> = {
  multiplicationsPerSecond: { product: 80e9, convolution: 80e9, attention: 80e9, int8Product: 300e9 },
  freshBytesPerSecond: 1.5e9,
  scratchBytesPerSecond: 5e9,
};

/** Kinds that networks of a dtype are made of. */
export function kindsForDtype(dtype: Dtype): readonly KindOfWork[] {
  return kindsOfWork.filter((kind) => kind !== "int8Product" || dtype === "int8");
}

/** Each graph is run so often, and the fastest run counts. */
const runs = 3;

/** @param kinds whose speed is needed; the others stay as usual */
export async function calibrate(
  engine: Engine,
  scratch: ScratchSpace,
  kinds: readonly KindOfWork[] = kindsOfWork,
): Promise<Speeds> {
  const moving = movingGraph();
  const { runBytes } = memoryOf(moving);
  const inFreshMemory = await measure(engine, moving);
  const workspace = await engine.openWorkspace({ tensorBytes: 0, runBytes });
  try {
    const inWorkspace = await measure(engine, moving, { workspace });
    const usualFresh = runBytes / usualSpeeds.freshBytesPerSecond;
    // While another run has the process's arena, memory is fresh here too.
    const movingSeconds = workspace.servesRuns ? inWorkspace : Math.max(inWorkspace / 2, inWorkspace - usualFresh);
    const movedBytesPerSecond = workOf(moving).movedBytes / movingSeconds;
    const multiplicationsPerSecond = { ...usualSpeeds.multiplicationsPerSecond };
    for (const kind of kinds) {
      const graph = graphs[kind]();
      const { multiplications, movedBytes } = workOf(graph);
      const seconds = await measure(engine, graph, { workspace, packsWeights: kind === "int8Product" });
      const multiplying = Math.max(seconds / 2, seconds - movedBytes / movedBytesPerSecond);
      multiplicationsPerSecond[kind] = multiplications[kind] / multiplying;
    }
    return {
      multiplicationsPerSecond,
      movedBytesPerSecond,
      freshBytesPerSecond: runBytes / Math.max(0, inFreshMemory - movingSeconds),
      scratchBytesPerSecond: await scratchSpeed(scratch),
    };
  } finally {
    await workspace.release();
  }
}

/** @param options.packsWeights as sessions with int8 matrices do: without, their products have half the speed at times */
async function measure(
  engine: Engine,
  graph: Graph,
  { workspace, packsWeights = false }: { workspace?: Workspace; packsWeights?: boolean } = {},
): Promise<number> {
  const session = await engine.load({ name: graph.name, bytes: serialise(graph), packsWeights }, { workspace });
  try {
    return await fastestRun(session);
  } finally {
    await session.release();
  }
}

async function fastestRun(session: Session): Promise<number> {
  const seconds: number[] = [];
  for (let run = 0; run < runs; run++) {
    const started = performance.now();
    await session.run({ x: floatTensor([1], Float32Array.of(0.5)) });
    seconds.push((performance.now() - started) / 1000);
  }
  return Math.min(...seconds);
}

/** As the maps of a clip are: written to a new place and to an old one, and each time read twice. */
async function scratchSpeed(space: ScratchSpace): Promise<number> {
  const piece = new Float32Array(4e6);
  const pieces = Math.ceil(scratchInMemoryBytes / piece.byteLength) + 1; // too many for memory
  const starts = Array.from({ length: pieces }, (_, index) => index * piece.length);
  try {
    const scratch = await space.create(pieces * piece.length);
    try {
      const started = performance.now();
      for (let time = 0; time < 2; time++) {
        for (const start of starts) await scratch.write(start, piece);
        for (const start of [...starts, ...starts]) await scratch.read(start, piece);
      }
      return (6 * pieces * piece.byteLength * 1000) / (performance.now() - started);
    } finally {
      await scratch.release();
    }
  } catch (error) {
    if (error instanceof StillmotionError && error.code === "output") return usualSpeeds.scratchBytesPerSecond; // no room
    throw error;
  }
}

/** Of the widest level of the published UNet, and of its first. */
const wide = 1280;
const narrow = 320;

const graphs: Readonly<Record<KindOfWork, () => Graph>> = {
  product: () =>
    written("product", [1024, wide], 3, (x) => ops.gemm(x, ops.cast(halves(x.graph, [wide, wide]), "float32"))),
  // What is not done in tiles: kernels of few channels, and those across a few frames.
  convolution: () =>
    written("convolution", [1, 64, 96, 160], 3, (x) => {
      const frames = ops.reshape(convolve(x, 3), [1, narrow, 8, 384]);
      return ops.reshape(convolve(frames, 1), x.shape);
    }),
  attention: () => written("attention", [1, 1792, narrow], 2, (x) => ops.multiHeadAttention(x, x, x, narrow / 64)),
  int8Product: () =>
    written("int8 product", [1024, wide], 3, (x) => {
      const matrix = addConstant(x.graph, { dtype: "int8", shape: [wide, wide], data: ones(wide * wide) });
      const scales = ops.floats(x.graph, new Float32Array(wide).fill(0.01));
      return ops.matMulIntegerToFloat(ops.dynamicQuantizeLinear(x), matrix, scales);
    }),
};

/** (items, channels, height, width) with a kernel of 3 x `across`. */
function convolve(x: Edge, across: 1 | 3): Edge {
  const channels = x.shape[1]!;
  const weight = ops.cast(halves(x.graph, [channels, channels, 3, across]), "float32");
  const side = (across - 1) / 2;
  return ops.conv(x, weight, undefined, { strides: [1, 1], pads: [1, side, 1, side] });
}

/** A tenth of what a decoder moves is tiles that become rows, in one thread; the rest is mostly as in a norm with its activation. */
function movingGraph(): Graph {
  return written("moving", [1, 64, 256 * 256], 2, (x) => {
    const tiles = ops.reshape(normalise(normalise(normalise(x))), [64, 64, 64, 4, 4]);
    return ops.reshape(ops.transpose(tiles, [0, 1, 3, 2, 4]), x.shape);
  });
}

function normalise(x: Edge): Edge {
  const perChannel = ops.floats(x.graph, new Float32Array(64).fill(1.5), [64, 1]);
  const normalised = ops.instanceNormalization(x, 1e-5);
  return ops.quickGelu(ops.add(ops.multiply(normalised, perChannel), perChannel), 1);
}

/** Layers that keep the shape, so many that what goes in and comes out counts little; a number goes in, and few come out. */
function written(name: string, shape: readonly number[], layers: number, layer: (x: Edge) => Edge): Graph {
  const graph = createGraph(`calibration: ${name}`);
  const one = ops.reshape(
    addInput(graph, "x", "float32", [1]),
    shape.map(() => 1),
  );
  let y = ops.expand(one, shape);
  for (let done = 0; done < layers; done++) y = layer(y);
  addOutput(graph, "y", ops.reduceMean(y, [shape.length - 1]));
  return graph;
}

function halves(graph: Graph, shape: readonly number[]): Edge {
  const one = 0x3c00;
  return addNamedConstant(graph, `weights ${shape.join("x")}`, { dtype: "float16", shape }, () =>
    new Uint16Array(elementCount(shape)).fill(one),
  );
}

const ones = (length: number) => new Int8Array(length).fill(1);
