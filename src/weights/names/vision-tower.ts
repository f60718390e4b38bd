/** Where does CLIP's vision tower lie among the tensors of a file, and which of them are of its text half? */
import { isAverage } from "./wrapper-prefixes.ts";

const insideTower = /^(?:embeddings|pre_layrnorm|post_layernorm|encoder\.layers)\./;
const textHalf = /^(?:text_model|text_projection|text_embedding|logit_scale|logit_bias)(?:\.|$)/;
/** Beside `visual.` in open_clip. */
const openClipText =
  /^(?:transformer|text|token_embedding|positional_embedding|ln_final|text_projection|attn_mask|logit_scale|logit_bias)(?:\.|$)/;

export interface VisionTower {
  /** What stands before the names of transformers or open_clip, such as `conditioner.embedders.0.open_clip.model.visual.`. */
  readonly start: string;
  readonly layout: "transformers" | "open_clip";
}

/** Of no tower in use. A hostile name may have millions of characters. */
const longestName = 1000;

/** All towers; averages of the training are none. */
export function visionTowers(names: Iterable<string>): VisionTower[] {
  const all = new Set(names);
  const towers: VisionTower[] = [];
  for (const name of all) {
    if (!name.endsWith("class_embedding") || name.length > longestName || isAverage(name)) continue;
    const start = name.slice(0, -"class_embedding".length);
    if (/(?:^|\.)embeddings\.$/.test(start)) {
      towers.push({ start: start.replace(/(?<=^|\.)(?:vision_model\.)*embeddings\.$/, ""), layout: "transformers" });
    } else if (all.has(`${start}conv1.weight`)) {
      towers.push({ start, layout: "open_clip" });
    }
  }
  return towers;
}

/** The half of CLIP that a tensor is of, with its name there; undefined for one of neither. */
export function nameInTower(
  { start, layout }: VisionTower,
  name: string,
): { half: "vision" | "text"; name: string } | undefined {
  if (layout === "open_clip") {
    if (name.startsWith(start)) return { half: "vision", name: name.slice(start.length) };
    const parent = start.replace(/(?<=^|\.)visual\.$/, "");
    const rest = name.slice(parent.length);
    return parent !== start && name.startsWith(parent) && openClipText.test(rest)
      ? { half: "text", name: rest }
      : undefined;
  }
  if (!name.startsWith(start)) return undefined;
  const rest = name.slice(start.length);
  if (textHalf.test(rest)) return { half: "text", name: rest };
  const inside = rest.replace(/^(?:vision_model\.)+/, "");
  if (insideTower.test(inside)) return { half: "vision", name: `vision_model.${inside}` };
  return inside.startsWith("visual_projection.") ? { half: "vision", name: inside } : undefined;
}
