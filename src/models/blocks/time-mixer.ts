/** How much of a blend is spatial and how much temporal? diffusers 0.42.1 models/resnet.py `AlphaBlender`. */
import type { Value } from "../../lowering/lowering.ts";
import type { Weights } from "../../weights/view.ts";

/** sigmoid(mix factor): the spatial share in the UNet, and the temporal share in the VAE decoder, where the two are switched. */
export function mixShare(mixer: Weights, x: Value): Value {
  return x.lowering.sigmoid(x.lowering.parameter(mixer.tensor("mix_factor", [1])));
}

/** 1 - sigmoid(mix factor), as sigmoid(-mix factor). */
export function remainingShare(mixer: Weights, x: Value): Value {
  const { constant, multiply, parameter, sigmoid } = x.lowering;
  return sigmoid(multiply(parameter(mixer.tensor("mix_factor", [1])), constant([1], Float32Array.of(-1))));
}
