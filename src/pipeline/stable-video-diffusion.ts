/** How does a picture become a clip? The pipeline: encode the picture, denoise, decode. */
import type { Device } from "../engine/device.ts";
import { inCall, message, StillmotionError, throwIfAborted, untilAborted } from "../errors.ts";
import { calibrate, kindsForDtype, type Speeds } from "../estimate/calibrate.ts";
import { countEvaluations } from "../estimate/count-evaluations.ts";
import { stageMemory } from "../estimate/memory.ts";
import * as limit from "../estimate/memory-limits.ts";
import { type Plan, planRun } from "../estimate/plan.ts";
import { checkImage, type Image } from "../image/image.ts";
import { type UnetChoice, withLessMemory } from "../lowering/lowerings.ts";
import { chooseUnetLowering, wordsForChoice } from "../options/choose-lowering.ts";
import type { GenerateOptions, GenerateResult } from "../options/generate-call.ts";
import { type FromPretrainedOptions, loadDefaults } from "../options/load-options.ts";
import { show } from "../options/parse-settings.ts";
import { farFromTraining, type Preset, presetOf } from "../options/presets.ts";
import { type OutputType, type ResolvedOptions, resolveSettings, type Settings } from "../options/resolve-settings.ts";
import type { ScratchSpace } from "../streaming/scratch.ts";
import { copyTensor } from "../tensor.ts";
import type { Checkpoint } from "../weights/types.ts";
import { conditionImages, embedImages, encodeImages, readPictures } from "./conditioning.ts";
import { decodeLatents, toImages } from "./decode.ts";
import { denoiseClips } from "./denoise-clips.ts";
import { checkTensors, latentsShape, type Networks, readNetworks, trainedSize } from "./networks.ts";
import { checkGivenLatents, noiseSource } from "./noise.ts";
import type { ProgressEvent } from "./progress.ts";
import type { StageContext } from "./run-stage.ts";
import { samplingOf } from "./sampling.ts";
import { createSessions, type Sessions } from "./sessions.ts";
import { describeStages, type Run } from "./stages.ts";

/** Options of {@link StableVideoDiffusionPipeline.fromPretrained}. */
export interface Platform {
  readonly device: Device;
  readonly scratch: ScratchSpace;
}

/**
 * Stable Video Diffusion: one picture in, a short clip out.
 *
 * Counterpart of diffusers' `StableVideoDiffusionPipeline`; the same seed and settings give the same clip.
 *
 * @example
 * const pipe = await StableVideoDiffusionPipeline.fromPretrained("./svd-xt", { variant: "fp16" });
 * const { frames } = await pipe.generate(await loadImage("rocket.png"), { seed: 42, decodeChunkSize: 8 });
 * await exportToVideo(frames[0], "generated.mp4", { fps: 7 });
 * await pipe.dispose();
 */
export class StableVideoDiffusionPipeline {
  /** What was opened, with what had to be assumed of it. */
  readonly checkpoint: Checkpoint;
  /** Where settings come from that a call leaves out. */
  readonly preset: Preset;
  /** The arithmetic of the UNet. */
  readonly dtype: UnetChoice["dtype"];
  /** What its weights are in memory. */
  readonly weightStorage: UnetChoice["weightStorage"];
  readonly #platform: Platform;
  readonly #networks: Networks;
  readonly #smaller: readonly limit.SmallerNetworks[];
  readonly #sessions: Sessions;
  readonly #onProgress: (event: ProgressEvent) => void;
  /** Measured when the first plan is made. */
  #speeds: Promise<Speeds> | undefined;

  /** For a platform of your own; `fromPretrained` is the usual way. */
  constructor(
    checkpoint: Checkpoint,
    platform: Platform,
    options: Pick<FromPretrainedOptions, "onProgress" | "preset" | "dtype" | "weightStorage" | "offload"> = {},
  ) {
    const { engine, lowerings } = platform.device;
    const lowering = chooseUnetLowering(lowerings, options);
    const networks = readNetworks(checkpoint, lowerings, lowering);
    checkTensors(networks);
    this.checkpoint = checkpoint;
    this.preset = presetOf(checkpoint, networks.unet, options.preset);
    this.dtype = lowering.dtype;
    this.weightStorage = lowering.weightStorage;
    this.#platform = platform;
    this.#networks = networks;
    this.#smaller = withLessMemory(lowerings, lowering).map((smaller) => ({
      words: wordsForChoice(smaller, lowering),
      networks: () => readNetworks(checkpoint, lowerings, smaller),
    }));
    this.#sessions = createSessions(engine, options.offload ?? loadDefaults.offload);
    this.#onProgress = options.onProgress ?? (() => {});
  }

  /**
   * Makes one clip of a picture, or several: `numVideosPerPrompt` of each. Clips of the first picture come first.
   *
   * Options take the names of the Python call in either spelling: `numFrames` or `num_frames`. Pictures, latents and options
   * are read before the call returns its promise: what is done with their memory after that changes nothing.
   *
   * @throws StillmotionError `invalid-option`, `invalid-image`, `out-of-memory`, `not-finite` when numbers become NaN or infinite,
   *   `output` when decoding finds no disk space for what it sets aside, or `aborted`
   * @example
   * const { frames, settings } = await pipe.generate(image, { numFrames: 14, seed: 42, signal: AbortSignal.timeout(60_000) });
   */
  async generate<Output extends OutputType = "images">(
    image: Image | readonly Image[],
    options: GenerateOptions<Output> = {},
  ): Promise<GenerateResult<Output>> {
    const images = Array.isArray(image) ? [...(image as readonly Image[])] : [image as Image];
    if (images.length === 0) throw new StillmotionError("invalid-image", "generate: no image was given");
    images.forEach(checkImage);
    const resolved = this.#resolve(options, images.length);
    const { settings, outputType, onStep } = resolved;
    const networks = this.#networks;
    const run = this.#run(resolved, images.length);
    limit.assertFitsInMemory(this.#limits(resolved), networks, run, this.#smaller);
    const stages = describeStages(networks, run);
    const context = this.#context(resolved);
    const pictures = readPictures(networks, images, this.checkpoint.featureExtractorConfig, settings);
    const givenLatents = resolved.latents && copyTensor(resolved.latents);
    const endReservation = limit.reserveMemory(this.#platform.device.engine, stageMemory(networks, run));
    try {
      await this.#platform.scratch.assertFits(stages.vaeDecoder?.scratchBytes ?? 0);

      const shape = latentsShape(networks, settings, images.length); // (clips, frames, 4, height / 8, width / 8)
      const draw = noiseSource(settings.seed, shape[0]!);
      const drawNoise = () => draw(shape, settings.noiseDtype);
      const imageNoise = draw([images.length, 3, settings.height, settings.width], "fp32");
      const noise = givenLatents ?? drawNoise();

      const embeddings = await embedImages(context, stages.imageEncoder, pictures);
      const { noiseAugStrength, numVideosPerPrompt } = settings;
      const encoded = await encodeImages(context, stages.vaeEncoder, pictures, imageNoise, noiseAugStrength);
      const conditioned = await conditionImages(context, stages.conditioning, embeddings, encoded);
      const conditionings = conditioned.flatMap((each) => Array.from({ length: numVideosPerPrompt }, () => each));

      const sampling = samplingOf(settings, networks.schedulerConfig);
      const job = { settings, sampling, conditionings, noise, drawNoise, onStep };
      const latents = await denoiseClips(context, stages.unet, job);
      if (!stages.vaeDecoder) return { frames: [], latents, settings };

      const decoded = await decodeLatents(context, stages.vaeDecoder, networks, latents);
      const frames = outputType === "floats" ? decoded : decoded.map(toImages);
      return { frames: frames as GenerateResult<Output>["frames"], latents, settings };
    } catch (error) {
      endReservation();
      throw limit.whereMemoryRanOut(error, this.#limits(resolved), networks, run, this.#smaller);
    } finally {
      endReservation();
    }
  }

  /**
   * What {@link generate} would take for these options: memory and time of each stage, and the disk that decoding needs.
   * No weight is read. The first call measures the machine for a second or two. It also measures the scratch folder, to which it
   * writes 80 MB for a moment.
   *
   * @param image the pictures, or how many there will be
   * @throws StillmotionError `invalid-option`, or `out-of-memory` when nothing fits into the `maxMemory` that is given
   * @example
   * const { peakBytes, seconds, settings } = await pipe.plan(1, { numFrames: 14, maxMemory: "8GB" });
   */
  async plan(image: Image | readonly Image[] | number = 1, options: GenerateOptions<OutputType> = {}): Promise<Plan> {
    const resolved = this.#resolve(options, imageCount(image));
    const { settings, signal, maxMemoryBytes } = resolved;
    const networks = this.#networks;
    const run = this.#run(resolved, imageCount(image));
    const sampling = samplingOf(settings, networks.schedulerConfig);
    const evaluations = await countEvaluations(sampling, settings, run.images * settings.numVideosPerPrompt);
    const limits = this.#limits(resolved);
    if (maxMemoryBytes !== undefined) limit.assertFitsInMemory(limits, networks, run, this.#smaller);
    const pools = limit.poolsBefore(this.#platform.device.engine, this.#sessions, limits);
    const advice = limit.adviceFor(limits, networks, run, this.#smaller);
    const speeds = await untilAborted(this.#calibrated(), signal);
    const { dtype, weightStorage } = this;
    return planRun(networks, { ...run, dtype, weightStorage, evaluations }, speeds, { ...pools, advice });
  }

  /**
   * The settings that {@link generate} would take for these options: given, else the checkpoint's preset, else the
   * defaults. A seed is drawn where none is given, and what `maxMemory` asks for is chosen.
   *
   * @param images how many pictures there will be
   * @throws StillmotionError `invalid-option`
   */
  settingsFor(options: GenerateOptions<OutputType> = {}, images = 1): Settings {
    return this.#chooseSettings(options, images).settings;
  }

  /** Sentences about settings that lie far from what a published checkpoint was trained on. They are no reason to refuse a run. */
  warningsFor(settings: Settings): string[] {
    return farFromTraining(settings, this.#networks.unet, this.checkpoint.unet.configFrom);
  }

  /** Stops the engine and gives its memory back. Safe to call twice. */
  async dispose(): Promise<void> {
    await this.#platform.device.engine.dispose();
  }

  /** Lets `await using pipe = ...` dispose of the pipeline. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /** The options of a call that is about to begin. */
  #resolve(options: object, images: number): ResolvedOptions {
    const resolved = this.#chooseSettings(options, images);
    throwIfAborted(resolved.signal);
    checkGivenLatents(resolved.latents, latentsShape(this.#networks, resolved.settings, images));
    return resolved;
  }

  #chooseSettings(options: object, images: number): ResolvedOptions {
    const given = options as Readonly<Record<string, unknown>>;
    const resolved = resolveSettings(given, { preset: this.preset.settings, ...trainedSize(this.#networks) });
    if (resolved.maxMemoryBytes === undefined) return resolved;
    const run = this.#run(resolved, images);
    stageMemory(this.#networks, run); // what its graphs take is held before the limit is looked at
    const settings = limit.fittingSettings(this.#limits(resolved), this.#networks, run, resolved.given);
    return { ...resolved, settings };
  }

  #run({ settings, outputType }: ResolvedOptions, images: number): Run {
    const { threads } = this.#platform.device.engine;
    return { settings, outputType, images, offload: this.#sessions.offload, threads };
  }

  #limits({ maxMemoryBytes }: ResolvedOptions): limit.MemoryLimits {
    return limit.memoryLimits(this.#platform.device.engine, this.#sessions, maxMemoryBytes);
  }

  #context({ settings, latents, signal }: ResolvedOptions): StageContext {
    const { device, scratch } = this.#platform;
    const suspects = { checkpoint: this.checkpoint, settings, hasGivenLatents: latents !== undefined };
    const { engine } = device;
    return { engine, scratch, sessions: this.#sessions, onProgress: this.#onProgress, signal, suspects };
  }

  /** Calls share it, so that none of them may end it for the others. */
  #calibrated(): Promise<Speeds> {
    const { device, scratch } = this.#platform;
    this.#speeds ??= calibrate(device.engine, scratch, kindsForDtype(this.dtype)).catch((error) => {
      this.#speeds = undefined;
      throw error;
    });
    return this.#speeds;
  }
}

function imageCount(image: Image | readonly Image[] | number): number {
  const count = typeof image === "number" ? image : Array.isArray(image) ? image.length : 1;
  if (Number.isSafeInteger(count) && count > 0) return count;
  throw new StillmotionError(
    "invalid-option",
    message`${inCall("plan")}image is ${show(image)}, expected pictures, or how many: 1 or more`,
  );
}
