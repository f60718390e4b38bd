/** Which layers of a transformer give the same rows in every evaluation of a clip, and how are they written? */
import type { Lowering, Value } from "../../lowering/lowering.ts";
import { crossAttentionToOneToken } from "../../nn/attention.ts";
import { embeddingProjection, sinusoidalEmbedding } from "../../nn/embedding.ts";
import type { Weights } from "../../weights/view.ts";

/** The result of a layer that sees neither latents nor noise level: rows that are added to tokens. */
export interface ConditioningRows {
  /** The layer's path, from the transformer on. */
  readonly path: string;
  readonly shape: readonly [rows: number, channels: number];
  /** Writes the layer for the image embedding, (1, context channels). */
  write(w: Weights, embedding: Value): Value;
}

/** Gives the rows of a layer, whose shape must be the one given. */
export type ReadRows = (layer: Weights, shape: ConditioningRows["shape"]) => Value;

/** What the shapes of a transformer's rows depend on. */
export interface TransformerSize {
  readonly channels: number;
  readonly layers: number;
}

/** The layers of a transformer that give such rows. */
export function conditioningRows({ channels, layers }: TransformerSize, frames: number): ConditioningRows[] {
  const crossAttentions = Array.from({ length: layers }, (_, layer) => [
    `transformer_blocks.${layer}.attn2`,
    `temporal_transformer_blocks.${layer}.attn2`,
  ]).flat();
  return [
    {
      path: "time_pos_embed",
      shape: [frames, channels],
      write: (w, { lowering }) => framePositions(w, lowering, frames, channels),
    },
    ...crossAttentions.map(
      (path): ConditioningRows => ({
        path,
        shape: [1, channels],
        write: (w, embedding) => crossAttentionToOneToken(w, embedding, channels),
      }),
    ),
  ];
}

/** (frames, channels): the embedding of each frame's number. */
function framePositions(w: Weights, lowering: Lowering, frames: number, channels: number): Value {
  const numbers = lowering.constant(
    [frames, 1],
    Float32Array.from({ length: frames }, (_, frame) => frame),
  );
  return embeddingProjection(w, sinusoidalEmbedding(numbers, channels), 4 * channels, channels);
}
