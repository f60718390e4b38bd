/**
 * Does each layer and block give what the reference's class gives, with its weights and for 1, 2 and 14 frames?
 *
 * Golden: python -m reference.golden layers (reference/golden/layers.py), diffusers 0.42.1
 * Golden: python -m reference.golden blocks (reference/golden/blocks.py), diffusers 0.42.1
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createCpuFp32Lowering } from "../../src/lowering/cpu/fp32.ts";
import type { CreateLowering, Value } from "../../src/lowering/lowering.ts";
import { conditioningRows, type ReadRows } from "../../src/models/blocks/conditioning-rows.ts";
import { resnetBlock, spatioTemporalResBlock } from "../../src/models/blocks/resnet.ts";
import { mixShare, remainingShare } from "../../src/models/blocks/time-mixer.ts";
import { blendedTemporalBlock, spatialBlock, spatioTemporalTransformer } from "../../src/models/blocks/transformer.ts";
import { downBlock, midBlock, upBlock } from "../../src/models/blocks/unet-blocks.ts";
import { type ClipVisionConfig, clipEmbeddings, clipLayer } from "../../src/models/clip-vision.ts";
import { unetConfig } from "../../src/models/unet.ts";
import {
  decoderMidBlock,
  decoderUpBlock,
  encoderDownBlock,
  encoderMidBlock,
  pixelAttention,
  vaeConfig,
} from "../../src/models/vae.ts";
import { crossAttentionToOneToken, selfAttention } from "../../src/nn/attention.ts";
import { downsample, temporalConv, upsample } from "../../src/nn/convolution.ts";
import { embeddingProjection, sinusoidalEmbedding } from "../../src/nn/embedding.ts";
import { feedForward } from "../../src/nn/feed-forward.ts";
import { linear } from "../../src/nn/linear.ts";
import { groupNorm } from "../../src/nn/norm.ts";
import { openCheckpoint } from "../../src/node/weights.ts";
import type { FloatTensor } from "../../src/tensor.ts";
import type { Checkpoint } from "../../src/weights/types.ts";
import { evaluate, smallLowering, testEngine, type WeightsSource, type Workbench } from "../support/evaluate.ts";
import { expectClose, type Golden, goldenWeights, items, permuted, readGolden, reshapedTo } from "../support/golden.ts";

const engine = testEngine();
const folder = join(import.meta.dirname, "golden");
const networks = /\.(image-encoder|vae-encoder|vae-temporal-decoder|unet)\.safetensors$/;
/** Cross-attention here is to one token by design. */
const otherwise = ["attention-cross-3-tokens.safetensors"];
const cases = readdirSync(folder).filter(
  (file) => file.endsWith(".safetensors") && !networks.test(file) && !otherwise.includes(file),
);

/** One clip of one case: its tensors by the reference's argument names, and what the block needs to know. */
interface Clip {
  readonly config: Record<string, unknown>;
  readonly frames: number;
  readonly input: (name: string) => FloatTensor;
  readonly has: (name: string) => boolean;
  readonly upsampleSize: readonly [number, number] | undefined;
}

type Block = (bench: Workbench, clip: Clip) => Value | Record<string, Value>;

/** The time embedding is the same for every frame of a clip: (1, channels). */
const time = ({ value }: Workbench, { input }: Clip): Value => value(oneRow(input("temb")));
/** So is the image embedding. */
const context = ({ value }: Workbench, { input }: Clip): Value => value(oneRow(input("encoder_hidden_states")));

/** Rows as the conditioning network writes them, in the graph of the block itself. */
const readRows =
  (bench: Workbench, clip: Clip): ReadRows =>
  (layer, [rows, channels]) => {
    const [, kind] = /([^.]+)$/.exec(layer.path)!;
    const { write } = conditioningRows({ channels, layers: 1 }, rows).find(({ path }) => path.endsWith(kind!))!;
    return write(layer, context(bench, clip));
  };

function oneRow(tensor: FloatTensor): FloatTensor {
  const channels = tensor.shape.at(-1)!;
  return items(reshapedTo(tensor, [tensor.data.length / channels, channels]), 0, 1);
}

const blocks: Record<string, Block> = {
  ResnetBlock2D: (bench, clip) =>
    resnetBlock(
      bench.w,
      [bench.map(clip.input("hidden_states"))],
      clip.config.out_channels as number,
      clip.config.eps as number,
      clip.has("temb") ? time(bench, clip) : undefined,
    ),
  SpatioTemporalResBlock: (bench, clip) =>
    spatioTemporalResBlock(bench.w, [bench.map(clip.input("hidden_states"))], clip.config.out_channels as number, {
      eps: clip.config.eps as number,
      temporalEps: (clip.config.temporal_eps ?? clip.config.eps) as number,
      temporalShare: clip.config.switch_spatial_to_temporal_mix ? mixShare : remainingShare,
      ...(clip.has("temb") ? { time: time(bench, clip) } : {}),
    }),
  TemporalResnetBlock(bench, clip) {
    const { w } = bench;
    const x = bench.map(clip.input("hidden_states"));
    const { add, activation } = bench.lowering;
    const norm = { eps: clip.config.eps as number, over: "clip", activation: "silu" } as const;
    let h = temporalConv(w.at("conv1"), groupNorm(w.at("norm1"), x, norm), 64);
    const temb = clip.input("temb"); // (1, frames, channels), another one for each frame
    const rows = bench.value(reshapedTo(temb, temb.shape.slice(1)));
    const projected = linear(w.at("time_emb_proj"), activation(rows, "silu"), 64);
    h = add(h, bench.lowering.reshape(projected, [temb.shape[1]!, 1, 1, 64]));
    h = temporalConv(w.at("conv2"), groupNorm(w.at("norm2"), h, norm), 64);
    return add(x, h);
  },
  Downsample2D: ({ w, map }, { input, config }) =>
    downsample(w, map(input("hidden_states")), config.padding === 1 ? [1, 1, 1, 1] : [0, 0, 1, 1]),
  Upsample2D({ w, map }, { input, config }) {
    const [height, width] = (config.output_size as number[] | null) ?? [];
    return upsample(w, map(input("hidden_states")), height, width);
  },
  TimestepEmbedding({ w, value }, { input, config }) {
    const timesteps = input("timestep");
    const channels = config.in_channels as number;
    const embedded = sinusoidalEmbedding(value(reshapedTo(timesteps, [timesteps.shape[0]!, 1])), channels);
    const hidden = config.time_embed_dim as number;
    return embeddingProjection(w, embedded, hidden, (config.out_dim as number | undefined) ?? hidden);
  },
  Attention(bench, clip) {
    const heads = clip.config.heads as number;
    if (clip.config.residual_connection) return pixelAttention(bench.w, bench.map(clip.input("hidden_states")));
    const x = bench.value(clip.input("hidden_states"));
    if (!clip.has("encoder_hidden_states")) return selfAttention(bench.w, x, heads, "without bias");
    const attended = crossAttentionToOneToken(bench.w, context(bench, clip), x.shape[2]!);
    return bench.lowering.add(bench.lowering.multiply(x, zero(bench)), attended);
  },
  FeedForward: ({ w, value }, { input }) => feedForward(w, value(input("hidden_states"))),
  AlphaBlender({ w, lowering, map }, { input, config }) {
    const [spatial, temporal] = [map(input("x_spatial")), map(input("x_temporal"))];
    const share = (config.switch_spatial_to_temporal_mix ? remainingShare : mixShare)(w, spatial);
    return lowering.blend(spatial, temporal, share);
  },
  BasicTransformerBlock: (bench, clip) =>
    spatialBlock(bench.w, bench.value(clip.input("hidden_states")), readRows(bench, clip), {
      heads: clip.config.num_attention_heads as number,
    }),
  TemporalBasicTransformerBlock(bench, clip) {
    const x = bench.value(clip.input("hidden_states"));
    const [frames, , channels] = x.shape as [number, number, number];
    // Its blend and its positions are tested with the transformer.
    const positions = bench.lowering.constant([frames, 1, channels], new Float32Array(frames * channels));
    const share = bench.lowering.constant([1], Float32Array.of(0));
    const heads = clip.config.num_attention_heads as number;
    return blendedTemporalBlock(bench.w, x, { positions, share }, readRows(bench, clip), { heads });
  },
  TransformerSpatioTemporalModel: (bench, clip) =>
    spatioTemporalTransformer(bench.w, bench.map(clip.input("hidden_states")), readRows(bench, clip), {
      heads: clip.config.num_attention_heads as number,
      layers: clip.config.num_layers as number,
    }),
  MidBlockTemporalDecoder: ({ w, map }, { input, config }) =>
    decoderMidBlock(w, map(input("hidden_states")), config.num_layers as number),
  CLIPEncoderLayer: ({ w, value }, { input, config }) =>
    clipLayer(w, value(input("hidden_states")), clipConfig(config)),
  CLIPVisionEmbeddings: ({ w, map }, { input, config }) =>
    clipEmbeddings(w, map(input("pixel_values")), clipConfig(config)),
};

function clipConfig(config: Record<string, unknown>): ClipVisionConfig {
  return {
    hiddenSize: config.hidden_size as number,
    intermediateSize: config.intermediate_size as number,
    heads: config.num_attention_heads as number,
    patchSize: config.patch_size as number,
    imageSize: config.image_size as number,
    activation: config.hidden_act as "gelu",
    eps: config.layer_norm_eps as number,
    layers: 1,
    projectionDim: 1,
  };
}

function zero({ lowering }: Workbench): Value {
  return lowering.constant([1], Float32Array.of(0));
}

/** A block of a checkpoint, at `path` of its component. */
function checkpointBlock(checkpoint: Checkpoint, component: string, path: string): Block {
  const index = Number(path.split(".").at(-1));
  const unet = unetConfig(checkpoint.unet.config);
  const vae = vaeConfig(checkpoint.vae.config);
  const conditioning = (bench: Workbench, clip: Clip) => ({
    time: time(bench, clip),
    readRows: readRows(bench, clip),
  });
  if (component === "unet" && path.startsWith("down_blocks")) {
    return (bench, clip) => {
      const isLast = index === unet.downLevels.length - 1;
      const { output, skips } = downBlock(
        bench.w,
        bench.map(clip.input("hidden_states")),
        conditioning(bench, clip),
        unet.downLevels[index]!,
        { downsample: !isLast },
      );
      const named = skips.slice(0, -1).map((skip, position) => [`output_states.${position}`, skip] as const);
      return { hidden_states: output, ...Object.fromEntries(named) };
    };
  }
  if (component === "unet" && path === "mid_block") {
    return (bench, clip) =>
      midBlock(bench.w, bench.map(clip.input("hidden_states")), conditioning(bench, clip), unet.midLevel);
  }
  if (component === "unet" && path.startsWith("up_blocks")) {
    return (bench, clip) => {
      const level = unet.upLevels[index]!;
      const skips = Array.from({ length: level.layers }, (_, n) => bench.map(clip.input(`res_hidden_states.${n}`)));
      const [, , height, width] = clip.input("hidden_states").shape as [number, number, number, number];
      // The block upsamples to the size of the skip connection that is left for the next one.
      const [nextHeight, nextWidth] = clip.upsampleSize ?? [2 * height, 2 * width];
      const isLast = index === unet.upLevels.length - 1;
      const left = bench.lowering.constant([1, nextHeight, nextWidth, 1], new Float32Array(nextHeight * nextWidth));
      return upBlock(
        bench.w,
        bench.map(clip.input("hidden_states")),
        conditioning(bench, clip),
        level,
        isLast ? skips : [left, ...skips],
      );
    };
  }
  if (path === "encoder.mid_block") return ({ w, map }, { input }) => encoderMidBlock(w, map(input("hidden_states")));
  if (path.startsWith("encoder.down_blocks")) {
    return ({ w, map }, { input }) => encoderDownBlock(w, map(input("hidden_states")), vae, index);
  }
  if (path === "decoder.mid_block") {
    return ({ w, map }, { input }) => decoderMidBlock(w, map(input("hidden_states")), vae.layersPerBlock);
  }
  if (path.startsWith("decoder.up_blocks")) {
    return ({ w, map }, { input }) => decoderUpBlock(w, map(input("hidden_states")), vae, index);
  }
  throw new Error(`no test for ${component} ${path}`);
}

describe.each<[string, CreateLowering]>([
  ["layers and blocks", createCpuFp32Lowering],
  ["layers and blocks of small networks", smallLowering(engine)],
])("%s against the reference", (_, createLowering) => {
  it("has golden cases", () => expect(cases.length).toBeGreaterThan(35));

  it.each(cases)("%s", async (file) => {
    const golden = await readGolden("models", "golden", file);
    const { block, source, path } = await subject(golden);
    for (const variant of variants(golden)) {
      for (const clip of variant.clips) {
        const outputs = await evaluate(
          engine(),
          source,
          (bench) => {
            const result = block(bench, clip);
            return "shape" in result && "lowering" in result
              ? { hidden_states: result as Value }
              : (result as Record<string, Value>);
          },
          { path, createLowering },
        );
        for (const [name, output] of Object.entries(outputs)) {
          expectClose(output, clip.expected(name), golden.tolerance, `${variant.name} ${name}`);
        }
      }
    }
  });
});

async function subject(golden: Golden): Promise<{ block: Block; source: WeightsSource; path: string }> {
  const { class: name, checkpoint: checkpointName, component, path } = golden.config as Record<string, string>;
  if (checkpointName) {
    const options = checkpointName.endsWith("fp16") ? { variant: "fp16" } : {};
    const checkpoint = await openCheckpoint(join(import.meta.dirname, "..", "checkpoints", checkpointName), options);
    const source = component === "unet" ? checkpoint.unet : checkpoint.vae;
    return { block: checkpointBlock(checkpoint, component!, path!), source, path: path! };
  }
  const block = blocks[name!];
  if (!block) throw new Error(`no test for class ${name}`);
  return { block, source: await goldenWeights(golden), path: "" };
}

/** The clips of every variant of a case. The reference stacks clips in its first axis; here each is run by itself. */
function variants(golden: Golden): { name: string; clips: (Clip & { expected: (name: string) => FloatTensor })[] }[] {
  const described = golden.details.variants as Record<string, VariantDetails> | undefined;
  return Object.entries(described ?? { "": { batch: undefined } }).map(([name, details]) => {
    const prefix = name === "" ? "" : `${name}.`;
    const first = golden.tensor(golden.names(`output.${prefix}`)[0]!);
    // Without variants every item of the first axis is a clip of one frame, or one item of a batch of tokens.
    const batch = details.batch ?? first.shape[0]!;
    const clips = Array.from({ length: batch }, (_, index) => {
      const read = (kind: string) => (argument: string) =>
        clipOf(golden.tensor(`${kind}.${prefix}${argument}`), index, batch);
      return {
        config: golden.config,
        frames: details.frames ?? 1,
        has: (argument: string) => golden.has(`input.${prefix}${argument}`),
        input: read("input"),
        expected: read("output"),
        upsampleSize: details.upsample_size,
      };
    });
    return { name, clips };
  });
}

interface VariantDetails {
  readonly batch?: number | undefined;
  readonly frames?: number;
  readonly upsample_size?: readonly [number, number];
}

/** One clip's share of a stacked tensor; (1, channels, frames, height, width) becomes a feature map. */
function clipOf(tensor: FloatTensor, index: number, batch: number): FloatTensor {
  const size = tensor.shape[0]! / batch;
  const share = items(tensor, index * size, (index + 1) * size);
  return share.shape.length === 5 ? permuted(reshapedTo(share, share.shape.slice(1)), [1, 0, 2, 3]) : share;
}
