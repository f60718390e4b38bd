/** What are the image encoder's tensors called in the original layout? open_clip src/open_clip/transformer.py `VisionTransformer`. */
import type { WeightEntry } from "../types.ts";
import { renamedStart } from "./resnet-names.ts";
import { named, rowsPart, type Tensors, transposed } from "./stored-tensors.ts";

const outside: Readonly<Record<string, string>> = {
  class_embedding: "vision_model.embeddings.class_embedding",
  conv1: "vision_model.embeddings.patch_embedding",
  positional_embedding: "vision_model.embeddings.position_embedding.weight",
  ln_pre: "vision_model.pre_layrnorm",
  ln_post: "vision_model.post_layernorm",
};

const insideLayer: Readonly<Record<string, string>> = {
  ln_1: "layer_norm1",
  ln_2: "layer_norm2",
  "mlp.c_fc": "mlp.fc1",
  "mlp.c_proj": "mlp.fc2",
  "attn.out_proj": "self_attn.out_proj",
};

/** The tensors of a vision tower under their transformers names. Queries, keys and values are thirds of one tensor's rows. */
export function clipVisionTensors(stored: Tensors): Tensors {
  return named([...stored].flatMap(([name, entry]) => networkTensors(name, entry)));
}

function networkTensors(name: string, entry: WeightEntry): [string, WeightEntry][] {
  if (name === "proj") return [["visual_projection.weight", transposed(entry)]];
  const layer = /^transformer\.resblocks\.(\d+)\.(.+)$/.exec(name);
  if (!layer) return [[renamedStart(name, outside), entry]];
  const [, index, rest] = layer as unknown as [string, string, string];
  const place = `vision_model.encoder.layers.${index}`;
  const joined = /^attn\.in_proj_(weight|bias)$/.exec(rest);
  if (!joined) return [[`${place}.${renamedStart(rest, insideLayer)}`, entry]];
  return ["q", "k", "v"].map((part, row) => [`${place}.self_attn.${part}_proj.${joined[1]}`, rowsPart(entry, row, 3)]);
}
