/** What does the UNet read that is computed once a clip, and which tensors is it computed from? */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createCpuInt8Lowering } from "../../src/lowering/cpu/int8.ts";
import { unetPart } from "../../src/models/conditioning.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import { memoryOf } from "../../src/onnx/memory.ts";
import { createGenerator } from "../../src/random/generator.ts";
import { randn } from "../../src/random/randn.ts";
import { floatTensor } from "../../src/tensor.ts";
import type { Checkpoint } from "../../src/weights/types.ts";
import { testEngine } from "../support/evaluate.ts";
import { networksOf } from "../support/platform.ts";
import { published } from "../support/published.ts";
import { runNetwork } from "../support/unet-call.ts";

const engine = testEngine();
const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "checkpoints", "two-levels-fp32"));
const networks = networksOf(checkpoint);

describe("its rows", () => {
  const rows = async (frames: number, scale: number) => {
    const { shape, data } = randn(createGenerator(1), [1, networks.unet.contextChannels], "float32");
    const embedding = floatTensor(
      shape,
      data.map((value) => scale * value),
    );
    const outputs = await runNetwork(engine(), networks.write.conditioning({ frames }), { image_embedding: embedding });
    return outputs.conditioning!.data as Float32Array;
  };

  it("are those of each frame's number, whatever the picture, and one of the picture for each cross-attention", async () => {
    const [without, once, twice] = [await rows(3, 0), await rows(3, 1), await rows(3, 2)];
    const channels = networks.unet.downLevels.find(({ attention }) => attention)!.channels;
    const positions = 3 * channels;
    expect(once.subarray(0, positions)).toEqual(without.subarray(0, positions));
    // A cross-attention to one token is affine.
    for (let index = positions; index < positions + 2 * channels; index++) {
      expect(once[index]).not.toBe(without[index]);
      expect(twice[index]! - once[index]!).toBeCloseTo(once[index]! - without[index]!, 4);
    }
    const fewer = await rows(2, 1);
    expect(fewer.subarray(0, 2 * channels)).toEqual(once.subarray(0, 2 * channels));
  });
});

describe("the tensors", () => {
  const withTensor = (name: string): Checkpoint => {
    const [entry] = checkpoint.unet.tensors.values();
    return {
      ...checkpoint,
      unet: { ...checkpoint.unet, tensors: new Map([...checkpoint.unet.tensors, [name, entry!]]) },
    };
  };
  const writeBoth = (from: Checkpoint) => {
    const { write } = networksOf(from);
    write.conditioning({ frames: 1 });
    write.unet({ frames: 1, height: 8, width: 8 });
  };

  it("of a UNet are read by one of the two networks, and one that neither reads is an error", () => {
    expect(() => writeBoth(checkpoint)).not.toThrow();
    for (const name of ["down_blocks.0.extra.weight", "down_blocks.0.extra.attn2.weight"]) {
      expect(() => writeBoth(withTensor(name))).toThrow(`1 of `);
      expect(() => writeBoth(withTensor(name))).toThrow(name);
    }
  });

  it("are a tenth of the published UNet, which its evaluations do without", () => {
    const { write } = networksOf(published(), { create: createCpuInt8Lowering });
    const size = { frames: 2, height: 8, width: 8 };
    expect(memoryOf(write.conditioning(size).graph).weightsBytes / 1e9).toBeCloseTo(0.3, 1);
    const names = [...write.unet(size).graph.initializers.keys()];
    const [conditioning] = unetPart(published().unet, "conditioning").tensors.keys();
    expect(conditioning).toMatch(/attn2|time_pos_embed/);
    expect(names.filter((name) => /attn2|time_pos_embed/.test(name))).toEqual([]);
  });
});
