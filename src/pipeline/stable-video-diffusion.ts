/** How does a picture become a clip? The pipeline: encode the picture, denoise, decode. */
import type { Engine } from "../engine/engine.ts";
import { inCall, message, option, StillmotionError, throwIfAborted, untilAborted, workFor } from "../errors.ts";
import { calibrate, type Speeds } from "../estimate/calibrate.ts";
import { countEvaluations } from "../estimate/count-evaluations.ts";
import { peakMemory, type Run } from "../estimate/memory.ts";
import { type Plan, planRun } from "../estimate/plan.ts";
import { assertFitsInMemory, fittingSettings, type Room, roomFor, whereMemoryRanOut } from "../estimate/room.ts";
import { type SmallerNetworks, suggestion } from "../estimate/suggestion.ts";
import { checkImage, type Image } from "../image/image.ts";
import {
  type Dtype,
  lowering,
  resolveDtype,
  resolveWeightStorage,
  smallUnetLowering,
  unetLowering,
  type weightStorages,
} from "../lowering/cpu/dtypes.ts";
import type { WeightStorage } from "../lowering/cpu/parameter.ts";
import type { ResolveModelOptions } from "../node/hub/resolve-model.ts";
import { kindsOfWork } from "../onnx/work.ts";
import type { GenerateSettings } from "../options/generate-options.ts";
import { copyLoras, type LoraSource, lorasGiven, readLoras } from "../options/loras.ts";
import { show } from "../options/parse-settings.ts";
import { farFromTraining, type Preset, type PresetName, presetNames, presetOf } from "../options/presets.ts";
import {
  type OnStep,
  type OutputType,
  type PythonSpelling,
  type ResolvedOptions,
  resolveSettings,
  type Settings,
} from "../options/resolve-settings.ts";
import { eulerDiscreteConfig } from "../schedulers/euler-discrete.ts";
import { copyTensor, type FloatTensor, floatTensor, isFloatTensor, sameShape } from "../tensor.ts";
import { withLoras } from "../weights/lora/place-lora.ts";
import type { Checkpoint } from "../weights/types.ts";
import {
  addedTimeIds,
  conditionImages,
  embedImages,
  encodeImages,
  type PictureInputs,
  readPictures,
} from "./conditioning.ts";
import { assertScratchFits, decodeLatents, toImages } from "./decode.ts";
import { denoise } from "./denoise.ts";
import { evaluateUnet, withUnets } from "./evaluate-unet.ts";
import { latentSize, type Networks, readNetworks, unetsOf } from "./networks.ts";
import { noiseSource } from "./noise.ts";
import { assertGivenFinite, assertLatentsFinite } from "./not-finite.ts";
import { samplingOf } from "./sampling.ts";
import { createSessions, type Offload, offloads, type Sessions } from "./sessions.ts";
import type { ProgressEvent, StageContext } from "./stages.ts";

/** Options of {@link StableVideoDiffusionPipeline.fromPretrained}. */
export interface FromPretrainedOptions {
  /** Files to read where a checkpoint has several: `fp16` takes `*.fp16.safetensors`. */
  readonly variant?: string | undefined;
  /**
   * Arithmetic of the UNet, whatever format its weights are stored in: `fp32`, which `auto` chooses, or `int8`, which is
   * faster, takes less memory, and makes a clip about as near to fp32's as bf16 does.
   * The other networks run in fp32.
   */
  readonly dtype?: "auto" | Dtype | undefined;
  /**
   * What the UNet's weights are in memory. `stored`: mapped from their files, and brought to fp32 each time that they are used
   * where the files hold fp16, bf16 or fp8. `fp32`: all brought to fp32 at the start, for somewhat faster steps and twice the
   * memory of fp16; the clip is the same. `int8`, with a scale for each output: half the memory of fp16, and another clip.
   * Default: `auto`, which is `stored` for dtype fp32; for dtype int8 it is always `int8`.
   */
  readonly weightStorage?: (typeof weightStorages)[number] | undefined;
  /** Where graphs run: `cpu`, which `auto` chooses. */
  readonly device?: string | undefined;
  /** Threads that one operator may use. Default: as many as the machine runs at once. */
  readonly threads?: number | undefined;
  /** The ONNX Runtime library to use. Default: the one that is installed with stillmotion. */
  readonly libraryPath?: string | undefined;
  /**
   * Where decoding sets numbers aside when `decodeChunkSize` is less than all frames: files that vanish with the run.
   * Default: the system's folder for temporary files.
   */
  readonly scratchFolder?: string | undefined;
  /** A `.safetensors` file whose UNet takes the place of the checkpoint's, such as one of AnimateLCM. */
  readonly unet?: string | undefined;
  /**
   * LoRAs that are added to the UNet's weights, several at once if need be.
   *
   * @example
   * loras: [{ path: "pan-left.safetensors", strength: 0.8 }, { path: "./peft-lora" }]
   */
  readonly loras?: readonly LoraSource[] | undefined;
  /** How a model that is named, not given as a path, is downloaded: `revision`, `token`, `localFilesOnly` ... */
  readonly hub?: Omit<ResolveModelOptions, "variant" | "withoutWeights"> | undefined;
  /**
   * What takes the place of settings that a call leaves out: the `official` ones of a published checkpoint or of its
   * `preset.json`, or those of the reference's call. Default: `official` where there are any, else `diffusers`.
   */
  readonly preset?: PresetName | undefined;
  /**
   * When a network's memory is given back. `model`: after its stage, so that a call takes the memory of its largest network.
   * `none`: networks stay loaded for the next call of the same size, which starts at once, and {@link
   * StableVideoDiffusionPipeline.dispose} gives their memory back; for another size they are loaded anew. The clip is the
   * same. Default: `model`.
   */
  readonly offload?: Offload | undefined;
  /** Hears of each network that is loaded, run and released. */
  readonly onProgress?: ((event: ProgressEvent) => void) | undefined;
}

type Frames<Output extends OutputType> = Output extends "images"
  ? Image[]
  : Output extends "floats"
    ? FloatTensor
    : never;

/** Options of {@link StableVideoDiffusionPipeline.generate}, on top of those that shape the clip. */
export interface GenerateOptions<Output extends OutputType = "images"> extends GenerateSettings, PythonSpelling {
  /** Default: `images`. */
  readonly outputType?: Output | undefined;
  /** Ends the run inside a step, at the next operator. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called after each step. A tensor that it returns, of the same shape, replaces the latents. What it is given is a copy, and
   * what it returns is copied: both may be kept and changed.
   */
  readonly onStep?: OnStep | undefined;
  /**
   * The most that the process may hold during the call: bytes, or text such as `8GB`. Where the settings would take more,
   * `decodeChunkSize` is chosen so that they do not, unless it is given: the picture stays the same. What cannot fit is
   * refused. Default: what is free.
   */
  readonly maxMemory?: number | string | undefined;
}

/** The result of one call. */
export interface GenerateResult<Output extends OutputType = "images"> {
  /** One entry a clip: for `images` its pictures, for `floats` (frames, height, width, 3) in [0, 1]; none for `latents`. */
  readonly frames: Frames<Output>[];
  /** (clips, frames, 4, height / 8, width / 8), as the sampler left them. */
  readonly latents: FloatTensor;
  /** Every setting in force, the seed included: given to another call they make the same clips, unless latents were given or replaced. */
  readonly settings: Settings;
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
  readonly checkpoint: Checkpoint;
  readonly #engine: Engine;
  readonly #networks: Networks;
  readonly #sessions: Sessions;
  /** Where settings come from that a call leaves out. */
  readonly preset: Preset;
  /** The arithmetic of the UNet. */
  readonly dtype: Dtype;
  /** What its weights are in memory. */
  readonly weightStorage: WeightStorage;
  readonly #onProgress: (event: ProgressEvent) => void;
  readonly #smaller: readonly SmallerNetworks[];
  /** Measured when the first plan is made. */
  #speeds: Promise<Speeds> | undefined;

  /** For an engine of your own; {@link fromPretrained} is the usual way. The pipeline disposes of the engine. */
  constructor(
    checkpoint: Checkpoint,
    engine: Engine,
    {
      onProgress = () => {},
      preset,
      dtype,
      weightStorage,
      offload = "model",
    }: Pick<FromPretrainedOptions, "onProgress" | "preset" | "dtype" | "weightStorage" | "offload"> = {},
  ) {
    this.checkpoint = checkpoint;
    this.#engine = engine;
    this.#sessions = createSessions(engine, offload);
    this.#onProgress = onProgress;
    this.dtype = resolveDtype(dtype);
    this.weightStorage = resolveWeightStorage(weightStorage, this.dtype);
    const networksIn = (dtype: Dtype, storage: WeightStorage) =>
      readNetworks(checkpoint, lowering, unetLowering(dtype, storage), smallUnetLowering(storage));
    this.#networks = networksIn(this.dtype, this.weightStorage);
    const stored = {
      words: message`${option("weightStorage")} "stored"`,
      networks: () => networksIn("fp32", "stored"),
    };
    const inInt8 = { words: message`${option("dtype")} "int8"`, networks: () => networksIn("int8", "int8") };
    const smaller = { fp32: [stored, inInt8], stored: [inInt8], int8: [] };
    this.#smaller = smaller[this.weightStorage];
    checkTensors(this.#networks);
    eulerDiscreteConfig(checkpoint.schedulerConfig);
    this.preset = presetOf(checkpoint, this.#networks.unet, preset);
  }

  /**
   * Opens a checkpoint and starts an engine. Configurations and the shape of every tensor are
   * checked; the weights stay in their files until a network needs them. The options, LoRAs' bytes included, are read
   * before the call returns its promise.
   *
   * @param name a folder, a single `.safetensors` file, or a model of the Hugging Face hub, downloaded when first used: `svd`, `svd-xt`, `svd-xt-1.1`
   *   or `org/name`, each with `@revision` if wanted
   * @throws StillmotionError `invalid-checkpoint` when the folder or one of its files is not what it should be,
   *   `unsupported` for a dtype or device this version does not have, `engine` when ONNX Runtime cannot be loaded
   */
  static async fromPretrained(
    name: string,
    options: FromPretrainedOptions = {},
  ): Promise<StableVideoDiffusionPipeline> {
    const {
      variant,
      dtype,
      weightStorage,
      onProgress,
      device,
      threads,
      libraryPath,
      scratchFolder,
      unet,
      loras,
      hub,
      preset,
      offload,
      ...unknown
    } = options;
    const [unknownName] = Object.keys(unknown);
    if (unknownName !== undefined) {
      throw new StillmotionError(
        "invalid-option",
        message`${inCall("fromPretrained")}${option(unknownName)} is not an option; the options are variant, dtype, weightStorage, device, threads, libraryPath, scratchFolder, unet, loras, preset, hub, offload, onProgress`,
      );
    }
    checkChoice("preset", preset, presetNames);
    checkChoice("offload", offload, offloads);
    resolveWeightStorage(weightStorage, resolveDtype(dtype));
    const hubOptions = { ...hub };
    const loraSources = copyLoras(loras);
    const { openCheckpoint } = await import("../weights/checkpoint/checkpoint.ts");
    const { createNodeEngine } = await import("../engine/ort/ort-engine.ts");
    const { resolveModel } = await import("../node/hub/resolve-model.ts");
    const { openUnetFile } = await import("../weights/single-file/unet-file.ts");
    // What can be wrong here comes before what may have to be downloaded.
    const unetGiven = message`${inCall("fromPretrained")}${option("unet")}`;
    const otherUnet = unet === undefined ? undefined : await workFor(unetGiven, () => openUnetFile(unet));
    const lorasInUse = loraSources === undefined ? [] : await readLoras(loraSources);
    const engine = await createNodeEngine({ device, threads, libraryPath, scratchFolder });
    try {
      const folder = await resolveModel(name, { ...hubOptions, variant, withoutWeights: otherUnet ? ["unet"] : [] });
      let checkpoint = await openCheckpoint(folder, { variant, unet: otherUnet });
      if (lorasInUse.length > 0) {
        const unet = await workFor(lorasGiven, () => withLoras(checkpoint.unet, lorasInUse));
        const parts = [checkpoint, ...lorasInUse.map(({ lora }) => lora)];
        checkpoint = { ...checkpoint, assumptions: parts.flatMap((each) => each.assumptions ?? []), unet };
      }
      return new StableVideoDiffusionPipeline(checkpoint, engine, {
        onProgress,
        preset,
        dtype,
        weightStorage,
        offload,
      });
    } catch (error) {
      await engine.dispose();
      throw error;
    }
  }

  /**
   * Makes one clip of a picture, or several: `numVideosPerPrompt` of each. Clips of the first picture come first.
   *
   * Options take the names of the Python call in either spelling: `numFrames` or `num_frames`. Pictures, latents and options
   * are read before the call returns its promise: what is done with their memory after that changes nothing.
   *
   * @throws StillmotionError `invalid-option`, `invalid-image`, `out-of-memory`, `not-finite` when numbers become NaN or infinite,
   *   `output` when decoding finds no room for what it sets aside, or `aborted`
   */
  async generate<Output extends OutputType = "images">(
    image: Image | readonly Image[],
    options: GenerateOptions<Output> = {},
  ): Promise<GenerateResult<Output>> {
    const images = Array.isArray(image) ? (image as readonly Image[]) : [image as Image];
    if (images.length === 0) throw new StillmotionError("invalid-image", "generate: no image was given");
    images.forEach(checkImage);
    const resolved = this.#resolve(options, images.length);
    const { settings, latents, outputType, signal, onStep } = resolved;
    throwIfAborted(signal);
    this.#checkLatents(latents, settings, images.length);
    const run = this.#run(resolved, images.length);
    assertFitsInMemory(this.#roomFor(resolved), this.#networks, run, this.#smaller);
    const pictures = readPictures(this.#networks, images, this.checkpoint.featureExtractorConfig, settings);
    const givenLatents = latents && copyTensor(latents);
    const endReservation = this.#engine.reserveMemory(peakMemory(this.#networks, run).bytes);

    const context: StageContext = {
      engine: this.#engine,
      sessions: this.#sessions,
      onProgress: this.#onProgress,
      signal,
      suspects: {
        checkpoint: this.checkpoint,
        settings,
        hasGivenLatents: latents !== undefined,
      },
    };
    try {
      if (outputType !== "latents") await assertScratchFits(this.#engine, this.#networks, settings);
      const result = await this.#latents(context, pictures, settings, givenLatents, onStep);
      if (outputType === "latents") return { frames: [], latents: result, settings };
      const decoded = await decodeLatents(context, this.#networks, result, settings);
      const frames = outputType === "floats" ? decoded : decoded.map(toImages);
      return { frames: frames as Frames<Output>[], latents: result, settings };
    } catch (error) {
      endReservation();
      throw whereMemoryRanOut(error, this.#roomFor(resolved), this.#networks, run, this.#smaller);
    } finally {
      endReservation();
    }
  }

  /**
   * What {@link generate} would take for these options: memory and time of each stage, and the disk that decoding needs.
   * No weight is read. The first call measures the machine for a second or two, and with it the scratch folder, which 80 MB go
   * to for a moment.
   *
   * @param image the pictures, or how many there will be
   * @throws StillmotionError `invalid-option`, or `out-of-memory` when nothing fits into the `maxMemory` that is given
   * @example
   * const { peakBytes, seconds, settings } = await pipe.plan(1, { numFrames: 14, maxMemory: "8GB" });
   */
  async plan(image: Image | readonly Image[] | number = 1, options: GenerateOptions<OutputType> = {}): Promise<Plan> {
    const images = imageCount(image);
    const resolved = this.#resolve(options, images);
    const { settings, signal } = resolved;
    throwIfAborted(signal);
    this.#checkLatents(resolved.latents, settings, images);
    const sampling = samplingOf(settings, this.checkpoint.schedulerConfig);
    const evaluations = await countEvaluations(sampling, settings, images * settings.numVideosPerPrompt);
    const run = { ...this.#run(resolved, images), dtype: this.dtype, weightStorage: this.weightStorage, evaluations };
    const room = this.#roomFor(resolved);
    if (resolved.maxMemoryBytes !== undefined) assertFitsInMemory(room, this.#networks, run, this.#smaller);
    const heldBytes = this.#engine.residentMemoryBytes() - this.#sessions.keptBytes();
    const isRefused = peakMemory(this.#networks, run).bytes > room.bytes;
    const advice = isRefused ? suggestion(room.bytes, this.#networks, run, this.#smaller) : undefined;
    // Calls share it, so that none of them may end it for the others.
    this.#speeds ??= calibrate(this.#engine, this.dtype === "int8" ? kindsOfWork : fp32Work).catch((error) => {
      this.#speeds = undefined;
      throw error;
    });
    const speeds = await untilAborted(this.#speeds, signal);
    return planRun(this.#networks, run, speeds, { heldBytes, availableBytes: heldBytes + room.bytes, advice });
  }

  /**
   * The settings that {@link generate} would take for these options: given, else the checkpoint's preset, else the
   * defaults. A seed is drawn where none is given, and what `maxMemory` asks for is chosen.
   *
   * @param images how many pictures there will be
   * @throws StillmotionError `invalid-option`
   */
  settingsFor(options: GenerateOptions<OutputType> = {}, images = 1): Settings {
    return this.#resolve(options, images).settings;
  }

  /** What of the settings lies far from what a published checkpoint was trained on, in words; no reason to refuse it. */
  warningsFor(settings: Settings): string[] {
    return farFromTraining(settings, this.#networks.unet, this.checkpoint.unet.configFrom);
  }

  #checkLatents(latents: FloatTensor | undefined, settings: Settings, images: number): void {
    const { height, width } = latentSize(this.#networks, settings);
    const clips = images * settings.numVideosPerPrompt;
    const shape = [clips, settings.numFrames, this.#networks.vae.latentChannels, height, width];
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

  #resolve(options: object, images: number): ResolvedOptions {
    const given = options as Readonly<Record<string, unknown>>;
    const resolved = resolveSettings(given, { preset: this.preset.settings, ...trainedSize(this.#networks) });
    if (resolved.maxMemoryBytes === undefined) return resolved;
    const run = this.#run(resolved, images);
    peakMemory(this.#networks, run); // what its graphs take is held from now on
    const room = this.#roomFor(resolved);
    const settings = fittingSettings(room, this.#networks, run, resolved.given);
    return { ...resolved, settings };
  }

  #run({ settings, outputType }: ResolvedOptions, images: number): Run {
    return { settings, outputType, images, offload: this.#sessions.offload, threads: this.#engine.threads };
  }

  #roomFor({ maxMemoryBytes }: ResolvedOptions): Room {
    return roomFor(this.#engine, this.#sessions, maxMemoryBytes);
  }

  /** Stops the engine and gives its memory back. Safe to call twice. */
  async dispose(): Promise<void> {
    await this.#engine.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  /** From pictures to denoised latents (clips, frames, 4, latent height, latent width). */
  async #latents(
    context: StageContext,
    pictures: readonly PictureInputs[],
    settings: Settings,
    givenLatents: FloatTensor | undefined,
    onStep: OnStep | undefined,
  ): Promise<FloatTensor> {
    const networks = this.#networks;
    const { width, height, numFrames, numVideosPerPrompt } = settings;
    const clips = pictures.length * numVideosPerPrompt;
    const size = latentSize(networks, settings);
    const shape = [clips, numFrames, networks.vae.latentChannels, size.height, size.width];
    const sampling = samplingOf(settings, this.checkpoint.schedulerConfig);
    const levels = sampling.schedule;

    const drawNoise = noiseSource(settings.seed, clips);
    const imageNoise = drawNoise([pictures.length, 3, height, width], "fp32");
    const noise = givenLatents ?? drawNoise(shape, settings.noiseDtype);

    const embeddings = await embedImages(context, networks, pictures);
    const imageLatents = await encodeImages(context, networks, pictures, imageNoise, settings);
    const encoded = embeddings.map((embedding, index) => ({ embedding, latents: imageLatents[index]! }));
    const isGuided = sampling.guidanceScales !== undefined;
    const perImage = await conditionImages(context, networks, encoded, { numFrames, isGuided });
    const conditionings = perImage.flatMap((each) => Array.from({ length: numVideosPerPrompt }, () => each));

    return withUnets(context, unetsOf(networks, settings), async (sessions) => {
      const total = levels.timesteps.length;
      let done = 0;
      const partOf = (clip: number) => `step ${done + 1} of ${total}${clips > 1 ? `, clip ${clip + 1}` : ""}`;
      const steps = denoise({
        ...sampling,
        evaluate: evaluateUnet(sessions, settings.cacheInterval, { signal: context.signal, partOf }),
        drawNoise: () => drawNoise(shape, settings.noiseDtype),
        latents: floatTensor(
          shape,
          noise.data.map((value) => value * levels.initNoiseSigma),
        ),
        conditionings,
        addedTimeIds: addedTimeIds(settings),
      });
      context.onProgress({ stage: "unet", state: "running", done: 0, total });
      let turn = await steps.next();
      while (!turn.done) {
        assertLatentsFinite(`step ${turn.value.step} of ${total}`, turn.value.latents, context.suspects);
        done = turn.value.step;
        context.onProgress({ stage: "unet", state: "running", done, total });
        const told = onStep && { ...turn.value, latents: copyTensor(turn.value.latents) };
        const replaced = (told && (await onStep(told))) ?? undefined;
        if (replaced !== undefined && !(isFloatTensor(replaced) && sameShape(replaced.shape, shape))) {
          const got = isFloatTensor(replaced) ? `latents of shape [${replaced.shape}]` : typeof replaced;
          throw new StillmotionError(
            "invalid-option",
            message`${inCall("generate")}${option("onStep")} returned ${got}, expected nothing or a float32 tensor of shape [${String(shape)}]`,
          );
        }
        if (replaced) {
          const what = message`${inCall("generate")}${option("onStep")} returned latents after step ${done} of ${total}`;
          assertGivenFinite(what, replaced);
          if (context.suspects) context.suspects.hasGivenLatents = true;
        }
        turn = await steps.next(replaced && copyTensor(replaced));
      }
      return turn.value;
    });
  }
}

const fp32Work = kindsOfWork.filter((kind) => kind !== "int8Product");

function imageCount(image: Image | readonly Image[] | number): number {
  const count = typeof image === "number" ? image : Array.isArray(image) ? image.length : 1;
  if (Number.isSafeInteger(count) && count > 0) return count;
  throw new StillmotionError(
    "invalid-option",
    message`${inCall("plan")}image is ${show(image)}, expected pictures, or how many: 1 or more`,
  );
}

function checkChoice(name: string, given: string | undefined, choices: readonly string[]): void {
  if (given === undefined || choices.includes(given)) return;
  throw new StillmotionError(
    "invalid-option",
    message`${inCall("fromPretrained")}${option(name)} is ${JSON.stringify(given)}, expected ${choices.join(" or ")}`,
  );
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
function checkTensors({ write, unet }: Networks): void {
  const size = { frames: 1, height: 2 ** unet.downLevels.length, width: 2 ** unet.downLevels.length };
  write.imageEncoder();
  write.vaeEncoder({ height: 64, width: 64 });
  write.conditioning(size);
  write.unet(size);
  write.vaeDecoder(size);
}
