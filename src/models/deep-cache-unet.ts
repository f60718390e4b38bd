/**
 * Which two graphs does DeepCache run? The whole UNet, which hands over the feature that enters its last layer, and what lies
 * around that feature: the first layer and the last ones.
 *
 * Ma et al. 2023 (arXiv 2312.00858), section 3.2, with the outermost branch.
 */
import type { Component } from "../weights/types.ts";
import type { Network } from "./network.ts";
import { deepPart, firstLayer, type UnetConfig, type UnetEvaluation, writeSample } from "./unet.ts";

/** As `unet`, with one more output: `deep_feature` (frames, channels, height, width). */
export function unetWithDeepFeature(config: UnetConfig, evaluation: UnetEvaluation): Network {
  return (w, lowering) => {
    const { h, conditioning } = firstLayer(w, lowering, config, evaluation);
    const deepFeature = deepPart(w, config, conditioning, h);
    lowering.outputPlanes("deep_feature", deepFeature);
    writeSample(w, config, conditioning, deepFeature, h);
  };
}

/**
 * As `unet`, with `deep_feature` as one more input, of an evaluation not long before. Given that of the same evaluation, it
 * gives the same sample. Its weights are those of {@link shallowPart}.
 */
export function shallowUnet(config: UnetConfig, evaluation: UnetEvaluation): Network {
  return (w, lowering) => {
    const { h, conditioning } = firstLayer(w, lowering, config, evaluation);
    const { frames, height, width } = evaluation;
    const shape = [frames, height, width, config.upLevels.at(-1)!.channels];
    writeSample(w, config, conditioning, lowering.inputPlanes("deep_feature", shape), h);
  };
}

/** The tensors of a UNet that {@link shallowUnet} reads. */
export function shallowPart(unet: Component, { upLevels }: UnetConfig): Component {
  const block = `up_blocks.${upLevels.length - 1}`;
  const layer = upLevels.at(-1)!.layers - 1;
  const paths = [
    ...["conv_in", "time_embedding", "add_embedding", "conv_norm_out", "conv_out"],
    ...[`${block}.resnets.${layer}`, `${block}.attentions.${layer}`],
  ];
  const isRead = (name: string) => paths.some((path) => name.startsWith(`${path}.`));
  return { ...unet, tensors: new Map([...unet.tensors].filter(([name]) => isRead(name))) };
}
