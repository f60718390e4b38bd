/** Which models does a checkpoint give? Its configurations, read once, and the graph of each stage for a size. */
import { inCall, message, option, StillmotionError } from "../errors.ts";
import type { CreateLowering } from "../lowering/lowering.ts";
import type { Lowerings, UnetLowering } from "../lowering/lowerings.ts";
import { clipVision, clipVisionConfig } from "../models/clip-vision.ts";
import { conditioning, unetPart } from "../models/conditioning.ts";
import { shallowPart, shallowUnet, unetWithDeepFeature } from "../models/deep-cache-unet.ts";
import { type Network, type WrittenNetwork, writeNetwork, writeSegments } from "../models/network.ts";
import { type UnetEvaluation, type UnetSize, unet, unetConfig } from "../models/unet.ts";
import { vaeConfig, vaeDecoder, vaeEncoder, vaeHalf } from "../models/vae.ts";
import { areFew, optimiseIfSmall } from "../onnx/optimised.ts";
import type { Settings } from "../options/resolve-settings.ts";
import { segmentsForClip } from "../streaming/segment-windows.ts";
import type { Checkpoint, Component } from "../weights/types.ts";
import type { Stage } from "./progress.ts";

export type Networks = ReturnType<typeof readNetworks>;

/**
 * Reads the configurations of a checkpoint and checks that its parts fit each other. Each of `write` gives a network for
 * one size; sizes are in pixels of its input, latent pixels for the UNet and the decoder.
 *
 * @param lowerings of the device that will run them
 * @param unetLowering the one of them that the UNet is written with
 */
export function readNetworks(
  checkpoint: Checkpoint,
  { others: createLowering, smallVae }: Pick<Lowerings, "others" | "smallVae">,
  unetLowering: Pick<UnetLowering, "create" | "createSmall">,
) {
  const clip = clipVisionConfig(checkpoint.imageEncoder.config);
  const vae = vaeConfig(checkpoint.vae.config);
  const denoiser = unetConfig(checkpoint.unet.config);
  assertFits(
    "unet/config.json: cross_attention_dim",
    denoiser.contextChannels,
    "image_encoder's projection_dim",
    clip.projectionDim,
  );
  assertFits("unet/config.json: out_channels", denoiser.outChannels, "vae's latent_channels", vae.latentChannels);
  assertFits(
    "unet/config.json: in_channels",
    denoiser.inChannels,
    "twice vae's latent_channels",
    2 * vae.latentChannels,
  );
  assertFits("unet/config.json: added time ids", denoiser.addedTimeIds, "fps, motion bucket and noise strength", 3);
  const encoder = vaeHalf(checkpoint.vae, "encoder");
  const decoder = vaeHalf(checkpoint.vae, "decoder");
  const evaluation = unetPart(checkpoint.unet, "evaluation");
  const write = <Size>(stage: Stage, component: Component, network: (size: Size) => Network, create = createLowering) =>
    keepRecent((size: Size) => writeNetwork(stage, component, create, network(size)));
  const ofVae = (half: Component) => (areFew(half.tensors.values()) && smallVae) || createLowering;
  /** Evaluations run many times in a call. */
  const writeEvaluation = (component: Component, network: (size: UnetEvaluation) => Network) =>
    keepRecent((size: UnetEvaluation) => {
      const inLowering = (create: CreateLowering) =>
        writeNetwork("unet", component, create, network(size), optimiseIfSmall);
      const { create, createSmall } = unetLowering;
      const small = createSmall && areFew(component.tensors.values()) ? inLowering(createSmall) : undefined;
      return small?.graph.isOptimised ? small : inLowering(create);
    });
  return {
    clip,
    vae,
    unet: denoiser,
    schedulerConfig: checkpoint.schedulerConfig,
    write: {
      imageEncoder: write<void>("image encoder", checkpoint.imageEncoder, () => clipVision(clip)),
      vaeEncoder: write("vae encoder", encoder, (size: PictureSize) => vaeEncoder(vae, size), ofVae(encoder)),
      conditioning: write("conditioning", unetPart(checkpoint.unet, "conditioning"), (size: Pick<UnetSize, "frames">) =>
        conditioning(denoiser, size),
      ),
      unet: writeEvaluation(evaluation, (size) => unet(denoiser, size)),
      unetWithDeepFeature: writeEvaluation(evaluation, (size) => unetWithDeepFeature(denoiser, size)),
      shallowUnet: writeEvaluation(shallowPart(evaluation, denoiser), (size) => shallowUnet(denoiser, size)),
      vaeDecoder: write("vae decoder", decoder, (size: UnetSize) => vaeDecoder(vae, size), ofVae(decoder)),
      /** The decoder for a window of the frames; see `runSegments`. */
      vaeDecoderSegments: keepRecent(({ frames, window, ...size }: UnetSize & { window: number }) => {
        const segments = (frames: number) =>
          writeSegments("vae decoder", decoder, ofVae(decoder), vaeDecoder(vae, { frames, ...size }));
        return segmentsForClip(segments, window, frames);
      }, windowsTried),
    },
  };
}

/** The clip's size in latent pixels. Throws `invalid-option` where the picture is no whole number of them. */
export function latentSize({ vae }: Pick<Networks, "vae">, { width, height }: PictureSize): PictureSize {
  const size = { width: width / vae.scale, height: height / vae.scale };
  if (Number.isInteger(size.width) && Number.isInteger(size.height)) return size;
  const [name, value] = Number.isInteger(size.width) ? (["height", height] as const) : (["width", width] as const);
  const expected = `a multiple of ${vae.scale}: one latent pixel of this checkpoint`;
  throw new StillmotionError(
    "invalid-option",
    message`${inCall("generate")}${option(name)} is ${value}, expected ${expected}`,
  );
}

/** Of what denoising starts from and ends with: (clips, frames, 4, height / 8, width / 8) with the published VAE. */
export function latentsShape(networks: Pick<Networks, "vae">, settings: Settings, images: number): readonly number[] {
  const { height, width } = latentSize(networks, settings);
  const clips = images * settings.numVideosPerPrompt;
  return [clips, settings.numFrames, networks.vae.latentChannels, height, width];
}

/** What denoising runs: the UNet, or with DeepCache the whole one and the shallow one. */
export function unetsOf(
  networks: Pick<Networks, "vae" | "write">,
  settings: Pick<Settings, "width" | "height" | "numFrames" | "cacheInterval" | "chunkFeedForward">,
): readonly WrittenNetwork[] {
  const { unet, unetWithDeepFeature, shallowUnet } = networks.write;
  const { numFrames: frames, chunkFeedForward: feedForwardPieces } = settings;
  const evaluation = { frames, ...latentSize(networks, settings), feedForwardPieces };
  return settings.cacheInterval === 1 ? [unet(evaluation)] : [unetWithDeepFeature(evaluation), shallowUnet(evaluation)];
}

/**
 * The clip that a checkpoint was made for: its own number of frames, and 16:9 pictures with the area of the square that
 * `sample_size` stands for. For the published 96 latent pixels of 8 that is 1024 x 576.
 */
export function trainedSize({ unet, vae }: Pick<Networks, "unet" | "vae">): {
  width: number;
  height: number;
  numFrames: number;
} {
  const side = unet.sampleSize * vae.scale;
  const multipleOf8 = (size: number) => Math.max(16, 8 * Math.round(size / 8));
  return { width: multipleOf8((side * 4) / 3), height: multipleOf8((side * 3) / 4), numFrames: unet.numFrames };
}

/** Writes each graph at a small size, so that a wrong tensor is an error of loading and not of the first run. */
export function checkTensors({ write, unet }: Networks): void {
  const size = { frames: 1, height: 2 ** unet.downLevels.length, width: 2 ** unet.downLevels.length };
  write.imageEncoder();
  write.vaeEncoder({ height: 64, width: 64 });
  write.conditioning(size);
  write.unet(size);
  write.vaeDecoder(size);
}

interface PictureSize {
  readonly height: number;
  readonly width: number;
}

/** A run decodes chunks of up to two lengths. */
const sizesOfOneRun = 2;

/** Within a bound on memory, half the window is tried, a quarter ... */
const windowsTried = 8;

/**
 * A run asks for the same graphs twice, for the memory plan and to load them, and so does the next one of the same size: by
 * its model a session that was kept is known again.
 */
function keepRecent<Size, Written>(write: (size: Size) => Written, sizesKept = sizesOfOneRun): (size: Size) => Written {
  const recent = new Map<string, Written>();
  return (size) => {
    const key = JSON.stringify(Object.entries(size ?? {}).sort());
    const network = recent.get(key) ?? write(size);
    recent.delete(key);
    recent.set(key, network); // the newest last
    const [oldest] = recent.keys();
    if (recent.size > sizesKept) recent.delete(oldest!);
    return network;
  };
}

function assertFits(what: string, got: number, other: string, expected: number): void {
  if (got === expected) return;
  throw new StillmotionError(
    "invalid-checkpoint",
    `${what} is ${got}, but ${other} is ${expected}; are the components from one checkpoint?`,
  );
}
