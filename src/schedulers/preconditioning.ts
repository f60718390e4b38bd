/**
 * What goes into the network and what comes out? The scalings between samples with noise and the network's own units.
 *
 * Karras et al. 2022 (arXiv 2206.00364), table 1, for data of variance 1, in the float32 order of diffusers 0.42.1
 * schedulers/scheduling_euler_discrete.py.
 */
import type { PredictionType } from "./euler-discrete-config.ts";

const { fround } = Math;

/**
 * The network's input at noise level `sigma`: c_in x = x / sqrt(sigma^2 + 1) (`scale_model_input` of the reference).
 *
 * @param output may be `sample` itself
 */
export function scaleModelInput(
  sample: Float32Array,
  sigma: number,
  output: Float32Array = new Float32Array(sample.length),
): Float32Array {
  const scale = fround(Math.sqrt(variancePlusOne(fround(sigma))));
  for (let i = 0; i < sample.length; i++) output[i] = sample[i]! / scale;
  return output;
}

/**
 * The denoised sample that the network's output stands for (the first half of `step` of the reference). For v-prediction
 * c_skip x + c_out v = x / (sigma^2 + 1) - v sigma / sqrt(sigma^2 + 1).
 *
 * @param sample x, as before {@link scaleModelInput}
 * @param modelOutput after guidance; as long as `sample`
 * @param output may be `modelOutput` itself
 */
export function denoisedSample(
  sample: Float32Array,
  modelOutput: Float32Array,
  sigma: number,
  predictionType: PredictionType,
  output: Float32Array = new Float32Array(sample.length),
): Float32Array {
  const denoised = denoiser(predictionType, fround(sigma));
  for (let i = 0; i < sample.length; i++) output[i] = denoised(sample[i]!, modelOutput[i]!);
  return output;
}

function denoiser(predictionType: PredictionType, sigma: number): (x: number, output: number) => number {
  switch (predictionType) {
    case "sample":
      return (_, output) => output;
    case "epsilon":
      return (x, output) => x - fround(sigma * output);
    case "v_prediction": {
      const variance = variancePlusOne(sigma);
      const scale = fround(-sigma / fround(Math.sqrt(variance)));
      return (x, output) => fround(output * scale) + fround(x / variance);
    }
  }
}

/** sigma^2 + 1 in float32. */
export function variancePlusOne(sigma: number): number {
  return fround(fround(sigma * sigma) + 1);
}
