/** How fast is this machine? A second of small graphs on the pipeline's own engine, one for each kind of work. */
import type { Engine, Session } from "../engine/engine.ts";
import { throwIfAborted } from "../errors.ts";
import { addConstant, addInput, addOutput, createGraph, type Edge, type Graph } from "../onnx/graph.ts";
import * as ops from "../onnx/ops.ts";
import { serialise } from "../onnx/serialise.ts";
import { type KindOfWork, kindsOfWork, workOf } from "../onnx/work.ts";
import { elementCount, floatTensor } from "../tensor.ts";

export interface Speeds {
  readonly multiplicationsPerSecond: Readonly<Record<KindOfWork, number>>;
  readonly movedBytesPerSecond: number;
}

/** Of no machine in particular, for what is not measured because no network needs it. */
const usualSpeeds: Pick<Speeds, "multiplicationsPerSecond"> = {
  multiplicationsPerSecond: { product: 80e9, convolution: 100e9, attention: 80e9, int8Product: 300e9 },
};

/** Each graph is run so often, and the fastest run counts. */
const runs = 3;

/** @param kinds whose speed is needed; the others stay as usual */
export async function calibrate(
  engine: Engine,
  kinds: readonly KindOfWork[] = kindsOfWork,
  signal?: AbortSignal,
): Promise<Speeds> {
  const moving = await measure(engine, elementwiseGraph());
  const movedBytesPerSecond = moving.work.movedBytes / moving.runSeconds;
  const multiplicationsPerSecond = { ...usualSpeeds.multiplicationsPerSecond };
  for (const kind of kinds) {
    throwIfAborted(signal);
    const { work, runSeconds } = await measure(engine, graphs[kind]());
    const multiplying = Math.max(runSeconds / 2, runSeconds - work.movedBytes / movedBytesPerSecond);
    multiplicationsPerSecond[kind] = work.multiplications[kind] / multiplying;
  }
  return { multiplicationsPerSecond, movedBytesPerSecond };
}

async function measure(engine: Engine, graph: Graph) {
  const session = await engine.load({ name: graph.name, bytes: serialise(graph) });
  try {
    return { work: workOf(graph), runSeconds: await fastestRun(session) };
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

/** Of the widest level of the published UNet, and of its first. */
const wide = 1280;
const narrow = 320;

const graphs: Readonly<Record<KindOfWork, () => Graph>> = {
  product: () =>
    written("product", [1024, wide], (x) => ops.gemm(x, ops.cast(halves(x.graph, [wide, wide]), "float32"))),
  convolution: () =>
    written("convolution", [1, narrow, 32, 56], (x) =>
      ops.conv(x, ops.cast(halves(x.graph, [narrow, narrow, 3, 3]), "float32"), undefined, {
        strides: [1, 1],
        pads: [1, 1, 1, 1],
      }),
    ),
  attention: () => written("attention", [1, 1792, narrow], (x) => ops.multiHeadAttention(x, x, x, narrow / 64)),
  int8Product: () =>
    written("int8 product", [1024, wide], (x) => {
      const matrix = addConstant(x.graph, { dtype: "int8", shape: [wide, wide], data: ones(wide * wide) });
      const scales = ops.floats(x.graph, new Float32Array(wide).fill(0.01));
      return ops.matMulIntegerToFloat(ops.dynamicQuantizeLinear(x), matrix, scales);
    }),
};

/** As a norm with its activation is written: most of what is no product. */
function elementwiseGraph(): Graph {
  return written("elementwise", [1, 128, 128 * 128], (x) => {
    const perChannel = ops.floats(x.graph, new Float32Array(128).fill(1.5), [128, 1]);
    const normalised = ops.instanceNormalization(x, 1e-5);
    return ops.quickGelu(ops.add(ops.multiply(normalised, perChannel), perChannel), 1);
  });
}

/** So often that what goes in and comes out does not count. */
const layers = 3;

/** Layers that keep the shape, one after the other; a number goes in, and few come out. */
function written(name: string, shape: readonly number[], layer: (x: Edge) => Edge): Graph {
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
  return addConstant(
    graph,
    { dtype: "float16", shape, data: new Uint16Array(elementCount(shape)).fill(one) },
    "weight",
  );
}

const ones = (length: number) => new Int8Array(length).fill(1);
