/**
 * Which two graphs does DeepCache run? The whole UNet, which also hands over what its deep levels give to the outermost level, and
 * the outermost level alone, which takes that from an earlier evaluation.
 *
 * Ma et al. 2023 (arXiv 2312.00858), section 3.2, with the branch at the outermost up block: everything at the size of the
 * latents is computed anew.
 */
import type { Component } from "../weights/types.ts";
import type { Network } from "./network.ts";
import { deepPart, outerDown, type UnetConfig, type UnetEvaluation, writeSample } from "./unet.ts";

/** As `unet`, with one more output: `deep_feature` (frames, channels, height, width). */
export function unetWithDeepFeature(config: UnetConfig, evaluation: UnetEvaluation): Network {
  return (w, lowering) => {
    const { conditioning, skips } = outerDown(w, lowering, config, evaluation);
    const deepFeature = deepPart(w, config, conditioning, skips);
    lowering.outputPlanes("deep_feature", deepFeature);
    writeSample(w, config, conditioning, deepFeature, skips);
  };
}

/**
 * As `unet`, with one more input: the `deep_feature` of an evaluation not long before. With that of the same evaluation it gives
 * the same sample. Its weights are those of {@link shallowPart}.
 */
export function shallowUnet(config: UnetConfig, evaluation: UnetEvaluation): Network {
  return (w, lowering) => {
    const { conditioning, skips } = outerDown(w, lowering, config, evaluation);
    const { frames, height, width } = evaluation;
    const { channels } = config.upLevels.at(-2) ?? config.midLevel;
    const deepFeature = lowering.inputPlanes("deep_feature", [frames, height, width, channels]);
    writeSample(w, config, conditioning, deepFeature, skips);
  };
}

/** The tensors of a UNet's evaluation that {@link shallowUnet} reads. */
export function shallowPart(unet: Component, { upLevels }: UnetConfig): Component {
  const paths = [
    ...["conv_in", "time_embedding", "add_embedding"],
    ...["down_blocks.0.resnets", "down_blocks.0.attentions", `up_blocks.${upLevels.length - 1}`],
    ...["conv_norm_out", "conv_out"],
  ];
  const isRead = (name: string) => paths.some((path) => name.startsWith(`${path}.`));
  return { ...unet, tensors: new Map([...unet.tensors].filter(([name]) => isRead(name))) };
}
