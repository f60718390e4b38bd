/** How does a test run a layer or a block by itself? As a small network of its own, on the real engine. */
import { afterAll, beforeAll } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { createOrtEngine, type OrtEngine } from "../../src/engine/ort/ort-engine.ts";
import { createCpuFp32Lowering } from "../../src/lowering/cpu/fp32.ts";
import { cpuLoweringsFor } from "../../src/lowering/cpu/lowerings.ts";
import type { CreateLowering, Lowering, Value } from "../../src/lowering/lowering.ts";
import { type Network, writeNetwork } from "../../src/models/network.ts";
import type { FloatTensor, Tensor } from "../../src/tensor.ts";
import type { Component } from "../../src/weights/types.ts";
import type { Weights } from "../../src/weights/view.ts";

export type WeightsSource = Pick<Component, "name" | "tensors" | "weightsFolder">;

/** What a layer under test is written with. */
export interface Workbench {
  readonly w: Weights;
  readonly lowering: Lowering;
  /** A tensor (frames, channels, height, width) as a feature map. */
  map(tensor: FloatTensor): Value;
  /** Any other tensor, as it is. */
  value(tensor: FloatTensor): Value;
}

/** An engine for the tests of one file. */
export function testEngine(): () => OrtEngine {
  let engine: OrtEngine | undefined;
  beforeAll(async () => {
    engine = await createOrtEngine({ threads: 2 });
  });
  afterAll(() => engine?.dispose());
  return () => engine!;
}

/**
 * Writes what `build` says, with the tensors below `path` of `source`, and runs it. Feature maps come back as
 * (frames, channels, height, width). Tensors outside `path` are left out; one below it that is not used is an error.
 */
export async function evaluate(
  engine: Engine,
  source: WeightsSource,
  build: (bench: Workbench) => Record<string, Value>,
  { path = "", createLowering = createCpuFp32Lowering }: { path?: string; createLowering?: CreateLowering } = {},
): Promise<Record<string, Tensor>> {
  const inputs: Record<string, FloatTensor> = {};
  const network: Network = (root, lowering) => {
    const add = (tensor: FloatTensor): string => {
      const name = `input${Object.keys(inputs).length}`;
      inputs[name] = tensor;
      return name;
    };
    const outputs = build({
      w: path === "" ? root : root.at(path),
      lowering,
      map: (tensor) => {
        const [frames, channels, height, width] = tensor.shape as [number, number, number, number];
        return lowering.inputPlanes(add(tensor), [frames, height, width, channels]);
      },
      value: (tensor) => lowering.input(add(tensor), tensor.shape),
    });
    for (const [name, value] of Object.entries(outputs)) {
      if (value.shape.length === 4) lowering.outputPlanes(name, value);
      else lowering.output(name, value);
    }
  };
  const tensors = new Map([...source.tensors].filter(([name]) => path === "" || name.startsWith(`${path}.`)));
  const component = { ...source, tensors, config: {} };
  const { model } = writeNetwork("layer under test", component, createLowering, network);
  const session = await engine.load(model);
  try {
    return await session.run(inputs);
  } finally {
    await session.release();
  }
}

/** How networks of few weights are written for an engine: in blocks of channels, where its processor has them. */
export function smallLowering(engine: () => OrtEngine): CreateLowering {
  return (graph) => (cpuLoweringsFor(engine().channelBlock).smallVae ?? createCpuFp32Lowering)(graph);
}

/** For layers without weights. */
export const noWeights: WeightsSource = { name: "unet", tensors: new Map(), weightsFolder: import.meta.dirname };
