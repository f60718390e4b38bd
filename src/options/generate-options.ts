/** Which options does a generation take? One schema gives their types, limits, defaults and help to every door. */
import { z } from "zod";
import { fits } from "../image/fit.ts";
import { churnDefaults } from "../schedulers/churn.ts";
import { sigmaSpacings } from "../schedulers/euler-discrete.ts";
import { type SamplerName, samplerNames } from "../schedulers/samplers.ts";
import { type FloatTensor, isFloatTensor } from "../tensor.ts";
import { defaultFps } from "../video/clip.ts";

/** What a door other than the library needs to show an option. */
export interface OptionPresentation {
  /** Long flag on the command line, without its dashes. Absent where text cannot give the value. */
  readonly flag?: string;
  /** What the value is called in help. */
  readonly value?: string;
  readonly help: string;
  /** Options of one group are shown together. */
  readonly group: OptionGroup;
  /** What holds when the option is not given, where {@link generateDefaults} has no value for it. */
  readonly otherwise?: string;
}

/** What an option is about. */
export type OptionGroup = "clip" | "motion" | "sampling";

/**
 * What each option that saves time costs, by docs/benchmarks.md ("Quality"): with the built-in checkpoint, 25 steps and
 * guidance, how many times as fast denoising is, and the clip's PSNR against the exact one.
 */
export const prices = {
  int8: "1.2 times as fast, 55 dB",
  int8Weights: "62 dB",
  cacheInterval: "1.4 times as fast with 3, 52 dB",
  guidanceInterval: "1.3 times as fast with 0.3,10, 41 dB",
  numInferenceSteps: "2.0 times as fast with half of 25, 51 dB",
} as const;

/** Whether frames that are not decoded together are decoded as if they were, or each chunk by itself as in the reference. */
const decodeModes = ["exact", "reference"] as const;

const presentations = z.registry<OptionPresentation>();

const size = () => z.int().multipleOf(8).min(16).max(8192);
const seed = z
  .union([
    z.int(),
    z
      .bigint()
      .min(-(2n ** 63n))
      .max(2n ** 64n - 1n),
  ])
  .describe("a whole number from -2^63 to 2^64-1");
const floatTensor = z
  .custom<FloatTensor>(isFloatTensor)
  .describe("a float32 tensor { dtype, shape, data } whose data fills its shape");

/** Every option that shapes the clip, each with its limits. None is required. */
export const generateSchema = z
  .strictObject({
    width: size().register(presentations, {
      flag: "width",
      value: "pixels",
      help: "width of the clip",
      group: "clip",
      otherwise: "as the checkpoint was made for",
    }),
    height: size().register(presentations, {
      flag: "height",
      value: "pixels",
      help: "height of the clip",
      group: "clip",
      otherwise: "as the checkpoint was made for",
    }),
    numFrames: z.int().min(1).max(1024).register(presentations, {
      flag: "frames",
      value: "n",
      help: "number of frames",
      group: "clip",
      otherwise: "as many as the checkpoint was made for",
    }),
    numInferenceSteps: z
      .int()
      .min(1)
      .max(1000)
      .register(presentations, {
        flag: "steps",
        value: "n",
        help: `number of denoising steps: more is finer and slower; price of fewer: ${prices.numInferenceSteps}`,
        group: "sampling",
      }),
    scheduler: z.enum(samplerNames).register(presentations, {
      flag: "scheduler",
      value: "name",
      help: "how a step is taken: heun works twice a step, animate-lcm needs a checkpoint made for it",
      group: "sampling",
    }),
    sigmas: z.union([z.enum(sigmaSpacings), z.array(z.number().min(0)).min(2).max(1000)]).register(presentations, {
      flag: "sigmas",
      value: "a,b,...",
      help: "spacing of the noise levels, ays being for few steps; or the levels themselves in place of steps, falling to where the clip ends, usually 0",
      group: "sampling",
      otherwise: "as the checkpoint says, usually karras",
    }),
    sChurn: z.number().min(0).max(1000).register(presentations, {
      flag: "s-churn",
      value: "x",
      help: "noise put back during a run by euler or heun, all steps together",
      group: "sampling",
      otherwise: "none",
    }),
    sTmin: z
      .number()
      .min(0)
      .register(presentations, {
        flag: "s-tmin",
        value: "sigma",
        help: "lowest noise level at which noise is put back",
        group: "sampling",
        otherwise: String(churnDefaults.sTmin),
      }),
    sTmax: z.number().min(0).register(presentations, {
      flag: "s-tmax",
      value: "sigma",
      help: "highest noise level at which noise is put back",
      group: "sampling",
      otherwise: "no limit",
    }),
    sNoise: z
      .number()
      .min(0)
      .max(10)
      .register(presentations, {
        flag: "s-noise",
        value: "x",
        help: "strength of the noise put back",
        group: "sampling",
        otherwise: String(churnDefaults.sNoise),
      }),
    fps: z.number().min(1).max(240).register(presentations, {
      flag: "fps",
      value: "n",
      help: "frames a second, told to the model and written to the file",
      group: "clip",
    }),
    motionBucketId: z.number().min(0).max(1023).register(presentations, {
      flag: "motion-bucket-id",
      value: "n",
      help: "amount of motion: higher moves more",
      group: "motion",
    }),
    noiseAugStrength: z.number().min(0).max(10).register(presentations, {
      flag: "noise-aug-strength",
      value: "x",
      help: "noise added to the picture: higher departs more from it",
      group: "motion",
    }),
    minGuidanceScale: z.number().min(0).max(100).register(presentations, {
      flag: "min-guidance-scale",
      value: "x",
      help: "guidance of the first frame",
      group: "motion",
    }),
    maxGuidanceScale: z.number().min(0).max(100).register(presentations, {
      flag: "max-guidance-scale",
      value: "x",
      help: "guidance of the last frame; 1 or less for both turns guidance off and halves the work",
      group: "motion",
    }),
    guidanceInterval: z.tuple([z.number().min(0), z.number().min(0)]).register(presentations, {
      flag: "guidance-interval",
      value: "a,b",
      help: `guide only at noise levels above a, up to and with b: the others take half the work; price: ${prices.guidanceInterval}`,
      group: "motion",
      otherwise: "all levels",
    }),
    fit: z.enum(fits).register(presentations, {
      flag: "fit",
      value: "how",
      help: "how a picture of another shape fills the clip",
      group: "clip",
    }),
    decodeChunkSize: z.int().min(1).register(presentations, {
      flag: "decode-chunk-size",
      value: "n",
      help: "frames decoded at a time: fewer takes less memory, the picture stays the same",
      group: "sampling",
      otherwise: "all up to half a megapixel, of more a quarter of one; all in mode reference",
    }),
    decodeMode: z.enum(decodeModes).register(presentations, {
      flag: "decode-mode",
      value: "mode",
      help: "exact: frames decoded at a time look as if all were; reference: they know nothing of the others, as in diffusers, and may flicker",
      group: "sampling",
    }),
    cacheInterval: z
      .int()
      .min(1)
      .max(1000)
      .register(presentations, {
        flag: "cache-interval",
        value: "n",
        help: `run the whole network once in n times and a small part of it in between (DeepCache); 1 turns it off; price: ${prices.cacheInterval}`,
        group: "sampling",
      }),
    chunkFeedForward: z.int().min(1).max(64).register(presentations, {
      flag: "chunk-feed-forward",
      value: "n",
      help: "compute feed-forward layers in n pieces: a little less memory, and in fp32 the same clip",
      group: "sampling",
    }),
    numVideosPerPrompt: z.int().min(1).max(64).register(presentations, {
      flag: "videos",
      value: "n",
      help: "clips made of each picture, each with noise of its own",
      group: "clip",
    }),
    seed: z.union([seed, z.array(seed).min(1)]).register(presentations, {
      flag: "seed",
      value: "n,...",
      help: "the same seed and settings give the same clip; a list gives each clip its own",
      group: "sampling",
      otherwise: "a random one, which is told",
    }),
    noiseDtype: z.enum(["fp32", "fp16"]).register(presentations, {
      flag: "noise-dtype",
      value: "type",
      help: "format that the noise is drawn in: fp16 repeats seeds of a Python pipeline in torch.float16",
      group: "sampling",
    }),
    latents: floatTensor.register(presentations, {
      flag: "latents",
      value: "file",
      help: "starting noise from a .safetensors file with a tensor named latents",
      group: "sampling",
      otherwise: "drawn from the seed",
    }),
  })
  .partial();

/**
 * The options of one generation, all optional; see {@link generateDefaults} for what is taken instead. Limits and meaning of
 * each are in the table of docs/from-diffusers.md, and for programs in {@link generateJsonSchema}.
 *
 * @interface
 */
export type GenerateSettings = z.output<typeof generateSchema>;

export type OptionName = keyof GenerateSettings;

/** How each option is shown: flags, value names and help. */
export function presentationOf(name: OptionName): OptionPresentation {
  return presentations.get(generateSchema.shape[name].unwrap())!;
}

/**
 * What holds where neither the caller nor the checkpoint's preset says otherwise: the defaults of the reference's call.
 * Size and number of frames come from the checkpoint's configuration.
 */
export const generateDefaults = {
  numInferenceSteps: 25,
  scheduler: "euler",
  fps: defaultFps,
  motionBucketId: 127,
  noiseAugStrength: 0.02,
  minGuidanceScale: 1,
  maxGuidanceScale: 3,
  fit: "stretch",
  cacheInterval: 1,
  chunkFeedForward: 1,
  decodeMode: "exact",
  numVideosPerPrompt: 1,
  noiseDtype: "fp32",
} as const satisfies GenerateSettings;

/** What holds for one sampler in place of {@link generateDefaults}: AnimateLCM was distilled with guidance in it. */
export const schedulerDefaults: Readonly<Partial<Record<SamplerName, GenerateSettings>>> = {
  "animate-lcm": { numInferenceSteps: 4, sigmas: undefined, minGuidanceScale: 1, maxGuidanceScale: 1 },
};
