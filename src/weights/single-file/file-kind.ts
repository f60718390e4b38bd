/** What is a .safetensors file of weights? Told by the names of its tensors, in words for messages. */
import { type Message, message, option } from "../../errors.ts";
import { printable } from "../../printable.ts";
import { isAverage } from "../names/wrapper-prefixes.ts";
import { partStarts } from "./file-parts.ts";

/** `checkpoint` and `unet` can be opened; the others are named in the error. */
export type FileKind =
  | "checkpoint"
  | "unet"
  | "lora"
  | "motion module"
  | "other checkpoint"
  | "other unet"
  | "averages"
  | "prefixed unet"
  | "part"
  | "unknown";

const words: Readonly<Record<FileKind, Message>> = {
  checkpoint: "a checkpoint of Stable Video Diffusion in a single file",
  unet: message`a UNet alone, not a whole checkpoint: give it with ${option("unet")}, beside the checkpoint that it belongs to`,
  lora: message`a LoRA, not a whole checkpoint: give it with ${option("loras")}, beside the checkpoint that it changes`,
  "motion module": "a motion module of AnimateDiff, which is made for text-to-image checkpoints",
  "other checkpoint": "a checkpoint of another model, probably text-to-image: its UNet has no layers across frames",
  "other unet": "a UNet of another model, probably text-to-image: it has no layers across frames",
  averages: "averages of a UNet's training alone (EMA), not the weights themselves: give the file that holds those",
  "prefixed unet":
    "a UNet of Stable Video Diffusion with something unknown before its names: save one such network alone",
  part: "one part of a checkpoint: give the whole folder, or the single file with all parts",
  unknown: "no checkpoint: none of its tensors is named like one of Stable Video Diffusion",
};

/** Words that follow "is", where something else than a whole checkpoint was given. */
export function kindInWords(kind: FileKind, names: Iterable<string>): Message {
  if (kind !== "averages" && kind !== "prefixed unet") return words[kind];
  const starts = unetStarts([...names]).slice(0, 5);
  return message`${words[kind]} (${starts.map((start) => `${printable(start)}*`).join(", ")})`;
}

/** @param names see {@link standardNames} */
export function fileKind(names: Iterable<string>): FileKind {
  const list = [...names];
  const some = (pattern: RegExp) => list.some((name) => pattern.test(name));
  const starts = (start: string) => list.some((name) => name.startsWith(start));
  if (some(/lora_(up|down|A|B)\b|(^|[._])lora(_linear_layer)?\.(up|down)\b/)) return "lora";
  if (some(/\bmotion_modules\./)) return "motion module";
  const { firstStage, imageEncoder, unet } = partStarts;
  if (some(/^(model\.diffusion_model\.)?(input_blocks|middle_block)\.\d+\./)) {
    if (some(/\.time_stack\./)) return starts(firstStage) || starts(imageEncoder) ? "checkpoint" : "unet";
    return starts(unet) && (starts(firstStage) || starts("cond")) ? "other checkpoint" : "other unet";
  }
  if (
    some(/^(model\.diffusion_model\.)?(down|up)_blocks\.\d+\.(resnets|attentions)\./) &&
    some(/^(model\.diffusion_model\.)?conv_in\./)
  ) {
    const hasParts = starts(firstStage) || starts(imageEncoder);
    if (list.some((name) => !name.startsWith(firstStage) && /\.temporal_res_block\./.test(name))) {
      return hasParts ? "checkpoint" : "unet";
    }
    return hasParts ? "other checkpoint" : "other unet";
  }
  const elsewhere = unetStarts(list);
  if (elsewhere.length > 0) return elsewhere.every(isAverage) ? "averages" : "prefixed unet";
  if (starts(unet) || starts("cond_stage_model.") || starts("text_encoders.")) return "other checkpoint";
  if (starts(firstStage) || starts(imageEncoder) || some(/^(encoder|decoder)\.(mid_block|mid)\./)) return "part";
  return "unknown";
}

/** What stands before the blocks of UNets that look across frames. Only transformers of a UNet embed times. */
function unetStarts(names: readonly string[]): string[] {
  const block =
    /^(.{1,200}?\.)(?:(?:down|up|input|output)_blocks\.\d+|mid_block|middle_block)\..{1,200}?\.?time_pos_embed\./;
  return [...new Set(names.flatMap((name) => block.exec(name)?.[1] ?? []))];
}
