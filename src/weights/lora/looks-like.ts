/** For which model was a LoRA made? Judged by the paths of its layers and the width of what its cross-attentions read. */

/** What each layer tells of its model. */
interface Clue {
  readonly network: string;
  readonly layer: string;
  readonly down?: { readonly shape: readonly number[] };
}

export interface LikelyModel {
  /** In words that follow "a LoRA for". */
  readonly model: string;
  /** Whether it can be used with a checkpoint of Stable Video Diffusion. */
  readonly isUsable: boolean;
}

/** Undefined when nothing tells. */
export function looksLike(layers: readonly Clue[]): LikelyModel | undefined {
  const another = (model: string): LikelyModel => ({ model, isUsable: false });
  const has = (pattern: RegExp) => layers.some(({ layer }) => pattern.test(layer));
  if (has(/motion_modules/)) return another("AnimateDiff");
  if (has(/temporal_transformer_blocks|temporal_res_block/)) return { model: "Stable Video Diffusion", isUsable: true };
  if (has(/(input|output)_blocks[._]\d|middle_block/)) {
    const model = has(/time_stack|time_mixer/) ? "Stable Video Diffusion" : "another model";
    return another(`${model} in the original layout's names, which are not read in a LoRA`);
  }
  if (!has(/(down|up)_blocks|mid_block/)) {
    const isTransformer = layers.some(({ network }) => /transformer|diffusion_model/.test(network));
    return isTransformer || has(/^(single_|double_)?(transformer_)?blocks[._]\d/)
      ? another("a diffusion transformer, such as FLUX or Wan")
      : undefined;
  }
  const context = layers.find(({ layer, down }) => /attn2[._]to_[kv]$/.test(layer) && down);
  switch (context?.down?.shape[1]) {
    case 768:
      return another("Stable Diffusion 1");
    case 2048:
      return another("Stable Diffusion XL");
    case 1024:
      return { model: "Stable Diffusion 2, or for the spatial layers of Stable Video Diffusion", isUsable: true };
    default:
      return undefined;
  }
}
