/** Which noise goes into a run, and in which order is it drawn? The reference's: the pictures' first, the latents' second. */
import { inCall, message, option, StillmotionError } from "../errors.ts";
import { float16ToFloat32 } from "../half.ts";
import type { GenerateSettings } from "../options/generate-options.ts";
import { createGenerator, type RandomGenerator } from "../random/generator.ts";
import { randn } from "../random/randn.ts";
import { elementCount, type FloatTensor, floatTensor, sameShape } from "../tensor.ts";
import { assertGivenFinite } from "./not-finite.ts";

export type Seed = number | bigint;
type NoiseDtype = NonNullable<GenerateSettings["noiseDtype"]>;

/** Draws the noise of one run: from one generator for all clips, or from one for each. */
export type DrawNoise = (shape: readonly number[], dtype: NoiseDtype) => FloatTensor;

/**
 * @param seeds one for all clips, or a list with one for each
 * @param clips number of clips of the run
 */
export function noiseSource(seeds: Seed | readonly Seed[], clips: number): DrawNoise {
  if (!Array.isArray(seeds)) {
    const generator = createGenerator(seeds as Seed);
    return (shape, dtype) => draw(generator, shape, dtype);
  }
  if (seeds.length !== clips) {
    throw new StillmotionError(
      "invalid-option",
      message`${inCall("generate")}${option("seed")} has ${seeds.length} entries, expected one for all clips or ${clips}, one for each clip`,
    );
  }
  const generators = (seeds as readonly Seed[]).map(createGenerator);
  return (shape, dtype) => {
    const result = floatTensor(shape);
    const item = elementCount(shape.slice(1));
    for (let index = 0; index < shape[0]!; index++) {
      result.data.set(draw(generators[index]!, [1, ...shape.slice(1)], dtype).data, index * item);
    }
    return result;
  };
}

function draw(generator: RandomGenerator, shape: readonly number[], dtype: NoiseDtype): FloatTensor {
  if (dtype === "fp32") return randn(generator, shape, "float32");
  return floatTensor(shape, float16ToFloat32(randn(generator, shape, "float16").data));
}

/** Throws `invalid-option` for latents of a caller that cannot take the noise's place. */
export function checkGivenLatents(latents: FloatTensor | undefined, shape: readonly number[]): void {
  if (!latents) return;
  const given = message`${inCall("generate")}${option("latents")}`;
  if (sameShape(latents.shape, shape)) {
    assertGivenFinite(message`${given} is a tensor`, latents);
    return;
  }
  const got = message`${given} has shape [${latents.shape.join(", ")}]`;
  const axes = "clips, frames, channels, height and width of the latents";
  throw new StillmotionError("invalid-option", message`${got}, expected [${shape.join(", ")}]: ${axes}`);
}
