/** What is a LoRA? Pairs of small matrices, each for one layer of a network (Hu et al. 2021, "LoRA"). */
import type { Tensor } from "../../tensor.ts";
import type { Spelling } from "./tensor-names.ts";

/** One file's worth. */
export interface Lora {
  /** The file's path, for messages. */
  readonly name: string;
  readonly layers: readonly LoraLayer[];
}

/** What it adds to one layer's weight at strength 1: `scale * (up x down)`. */
export interface LoraLayer {
  /** As the file spells it. */
  readonly layer: string;
  readonly spelling: Spelling;
  readonly rank: number;
  /** alpha / rank; 1 where the file has no alpha. */
  readonly scale: number;
  /** (outputs, rank) */
  readonly up: Tensor;
  /** (rank, inputs), for a convolution (rank, inputs, ...kernel) */
  readonly down: Tensor;
}

/** A LoRA and how much of it is added. */
export interface LoraInUse {
  readonly lora: Lora;
  readonly strength: number;
}

/** What all LoRAs of a run may hold together: each thread that adds them to the weights gets a copy. */
export const maxLoraBytes = 1e9;
