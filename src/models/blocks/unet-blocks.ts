/** How are the levels of the UNet written: down, middle and up? */
import { StillmotionError } from "../../errors.ts";
import type { Padding, Value } from "../../lowering/lowering.ts";
import { downsample, upsample } from "../../nn/convolution.ts";
import type { Weights } from "../../weights/view.ts";
import type { ReadRows } from "./conditioning-rows.ts";
import { spatioTemporalResBlock } from "./resnet.ts";
import { remainingShare } from "./time-mixer.ts";
import { spatioTemporalTransformer } from "./transformer.ts";

/** What one level has: with `attention` a transformer follows each ResNet block. */
export interface UnetLevel {
  readonly channels: number;
  readonly layers: number;
  /** diffusers gives levels with and without attention different epsilons. */
  readonly eps: number;
  readonly attention?: { readonly heads: number; readonly transformerLayers: readonly number[] };
}

/** What every block of one evaluation is conditioned on, and how it is computed. */
export interface Conditioning {
  /** The time embedding, (1, time channels). */
  readonly time: Value;
  /** Gives the rows of the layers that see neither latents nor noise level. */
  readonly readRows: ReadRows;
  /** In how many pieces feed-forward layers are computed. Default: 1. */
  readonly feedForwardPieces?: number | undefined;
}

const everySide: Padding = [1, 1, 1, 1];

/** diffusers' `DownBlockSpatioTemporal` and `CrossAttnDownBlockSpatioTemporal`. Every output is also a skip connection. */
export function downBlock(
  w: Weights,
  x: Value,
  conditioning: Conditioning,
  level: UnetLevel,
  options: { downsample: boolean },
): { output: Value; skips: Value[] } {
  const skips: Value[] = [];
  let h = x;
  for (let layer = 0; layer < level.layers; layer++) {
    h = layerPair(w, layer, [h], conditioning, level);
    skips.push(h);
  }
  if (options.downsample) {
    h = downsample(w.at("downsamplers.0"), h, everySide);
    skips.push(h);
  }
  return { output: h, skips };
}

/** diffusers' `UNetMidBlockSpatioTemporal`: ResNet block, transformer, ResNet block. */
export function midBlock(w: Weights, x: Value, conditioning: Conditioning, level: UnetLevel): Value {
  const h = layerPair(w, 0, [x], conditioning, level);
  return resnet(w.at("resnets.1"), [h], conditioning, level);
}

/**
 * diffusers' `UpBlockSpatioTemporal` and `CrossAttnUpBlockSpatioTemporal`. It removes its skip connections from the end of
 * `skips`, and upsamples to the size of the one that is then the last.
 */
export function upBlock(w: Weights, x: Value, conditioning: Conditioning, level: UnetLevel, skips: Value[]): Value {
  let h = x;
  for (let layer = 0; layer < level.layers; layer++) {
    const skip = skips.pop();
    if (!skip) throw new StillmotionError("internal", `${w.path}: no skip connection is left for layer ${layer}`);
    const writeResnet = skips.length === 0 ? lastResnet : resnet;
    h = layerPair(w, layer, [h, skip], conditioning, level, writeResnet);
  }
  const next = skips.at(-1);
  return next ? upsample(w.at("upsamplers.0"), h, next.shape[1], next.shape[2]) : h;
}

function layerPair(
  w: Weights,
  layer: number,
  parts: readonly Value[],
  conditioning: Conditioning,
  level: UnetLevel,
  writeResnet = resnet,
): Value {
  const h = writeResnet(w.at("resnets").at(layer), parts, conditioning, level);
  if (!level.attention) return h;
  const { heads, transformerLayers } = level.attention;
  const layers = transformerLayers[layer]!;
  const { readRows, feedForwardPieces } = conditioning;
  return spatioTemporalTransformer(w.at("attentions").at(layer), h, readRows, { heads, layers, feedForwardPieces });
}

function resnet(w: Weights, parts: readonly Value[], { time }: Conditioning, { channels, eps }: UnetLevel): Value {
  return spatioTemporalResBlock(w, parts, channels, { eps, temporalShare: remainingShare, time });
}

/** The last ResNet block is exact, because no block after it evens its errors out: they go into the picture. */
function lastResnet(w: Weights, parts: readonly Value[], conditioning: Conditioning, level: UnetLevel): Value {
  return parts[0]!.lowering.exactly(parts, (exact) => resnet(w, exact, conditioning, level));
}
