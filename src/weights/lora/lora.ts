/** What is a LoRA? Pairs of small matrices, each for one layer of a network (Hu et al. 2021, "LoRA"). */
import type { Tensor } from "../../tensor.ts";
import type { Spelling } from "./tensor-names.ts";

/** The LoRA of one file. */
export interface Lora {
  /** The file's path, for messages. */
  readonly name: string;
  readonly layers: readonly LoraLayer[];
  /** What was assumed of its scale, in sentences for people. */
  readonly assumptions: readonly string[];
}

/** What it adds to one layer's weight at strength 1: `scale * (up x down)`. */
export interface LoraLayer {
  /** As the file spells it. */
  readonly layer: string;
  readonly spelling: Spelling;
  readonly rank: number;
  /** alpha / rank, or with a rank-stabilised scale alpha by its root; 1 where nothing says an alpha. */
  readonly scale: number;
  /** (outputs, rank), in memory that threads share. */
  readonly up: Tensor;
  /** (rank, inputs), for a convolution (rank, inputs, ...kernel); in memory that threads share. */
  readonly down: Tensor;
}

/** A LoRA and how much of it is added. */
export interface LoraInUse {
  readonly lora: Lora;
  readonly strength: number;
}

/**
 * The most that all LoRAs of a pipeline may hold together, for as long as it lives. More than that are no small matrices: the whole
 * UNet of SVD takes 3 GB in fp16.
 */
export const maxLoraBytes = 1e9;
