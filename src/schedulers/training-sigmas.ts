/**
 * Which noise levels was the network trained at? One sigma per training timestep, from the beta schedule.
 *
 * Follows `__init__` of diffusers 0.42.1 schedulers/scheduling_euler_discrete.py, in float32 as torch rounds it.
 */
import type { EulerDiscreteConfig } from "./euler-discrete-config.ts";

const { fround } = Math;

/** Sigmas of the training timesteps 0, 1, …, rising: sigma^2 = (1 - alphaBar) / alphaBar. */
export function trainingSigmas(config: EulerDiscreteConfig): Float32Array {
  return cumulativeAlphas(trainingBetas(config)).map((alphaBar) => Math.sqrt(fround(fround(1 - alphaBar) / alphaBar)));
}

function trainingBetas(config: EulerDiscreteConfig): Float32Array {
  const { trainedBetas, betaSchedule, betaStart, betaEnd, numTrainTimesteps } = config;
  if (trainedBetas) return Float32Array.from(trainedBetas);
  switch (betaSchedule) {
    case "linear":
      return linspace(betaStart, betaEnd, numTrainTimesteps);
    case "scaled_linear":
      return linspace(Math.sqrt(betaStart), Math.sqrt(betaEnd), numTrainTimesteps).map((root) => root * root);
    case "squaredcos_cap_v2": {
      // Nichol & Dhariwal 2021, eq. 17, with betas of at most 0.999.
      const alphaBar = (time: number) => Math.cos((((time + 0.008) / 1.008) * Math.PI) / 2) ** 2;
      return Float32Array.from({ length: numTrainTimesteps }, (_, i) =>
        Math.min(1 - alphaBar((i + 1) / numTrainTimesteps) / alphaBar(i / numTrainTimesteps), 0.999),
      );
    }
  }
}

/** alphaBar of each timestep. Each product is rounded to float32 when stored but carried on in float64, as `torch.cumprod` does. */
function cumulativeAlphas(betas: Float32Array): Float32Array {
  let product = 1;
  return betas.map((beta) => {
    product *= fround(1 - beta);
    return product;
  });
}

/**
 * Evenly spaced float32 values. As in `torch.linspace` on AVX2 and newer, the first half is counted from the start and the second
 * half from the end, and each value is rounded once.
 */
export function linspace(start: number, end: number, count: number): Float32Array {
  const [first, last] = [fround(start), fround(end)];
  const step = fround(fround(last - first) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) =>
    i < Math.floor(count / 2) ? first + step * i : last - step * (count - i - 1),
  );
}
