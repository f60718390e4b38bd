/** What is a checkpoint to the network? Three components with their configurations, and where each of their tensors lies. */
import type { DataType, Tensor } from "../tensor.ts";

/** Parsed JSON object of one of the checkpoint's files. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** A tensor that stays in its file. */
export interface WeightEntry {
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: readonly number[];
  /** Bare file name inside the component's `weightsFolder`. */
  readonly file: string;
  /** From the start of the file, in bytes; not aligned to anything. */
  readonly offset: number;
  readonly sizeBytes: number;
  /** The file holds this matrix with its axes exchanged, (columns, rows). */
  readonly isTransposed?: true;
  /** What the stored numbers are multiplied by, as fp8 weights have it: one for all, or one for each row as it is stored. */
  readonly scales?: Float32Array;
  /** What LoRAs add to it. */
  readonly additions?: readonly LowRankProduct[];
}

/** `scale * (up x down)`, which a LoRA adds to a weight: its rows are the weight's outputs, flattened. */
export interface LowRankProduct {
  /** Strength times alpha / rank. */
  readonly scale: number;
  /** (outputs, rank) */
  readonly up: Tensor;
  /** (rank, elements of one output) */
  readonly down: Tensor;
}

/** One network of a checkpoint. */
export interface Component {
  readonly name: "unet" | "vae" | "image_encoder";
  /** Contents of its `config.json`, or the same worked out from the shapes of its tensors. */
  readonly config: JsonObject;
  /** The file from whose tensors the configuration was worked out, where there is no `config.json`. */
  readonly configFrom?: string;
  /**
   * The folder that really holds the weights files, links followed. It is written as the file source writes paths that the component
   * was read from, which is also where an engine of the same platform finds the files: in Node on the disk.
   */
  readonly weightsFolder: string;
  readonly tensors: ReadonlyMap<string, WeightEntry>;
  /** See {@link Checkpoint.assumptions}; those of this component. */
  readonly assumptions?: readonly string[];
  /** What was added to it, for messages. */
  readonly loras?: readonly { readonly name: string; readonly strength: number }[];
}

/** A Stable Video Diffusion checkpoint, described as in diffusers layout whichever layout it has. */
export interface Checkpoint {
  /** Its folder, or its only file. */
  readonly folder: string;
  readonly modelIndex: JsonObject;
  readonly unet: Component;
  readonly vae: Component;
  readonly imageEncoder: Component;
  readonly schedulerConfig: JsonObject;
  readonly featureExtractorConfig: JsonObject;
  /** Contents of an optional `preset.json`: the settings the checkpoint was made for. Not validated here. */
  readonly preset?: JsonObject;
  /** What its files do not say and was assumed, in sentences for people. */
  readonly assumptions?: readonly string[];
}
