/** How does a UNet from a file of its own take the place of a checkpoint's UNet? AnimateLCM-SVD-xt is published so. */
import { message, option, StillmotionError } from "../../errors.ts";
import type { FileSource } from "../file-source.ts";
import type { Checkpoint, Component } from "../types.ts";
import { assertHeadsKnown, unetConfigOf } from "./config-from-shapes.ts";
import { kindInWords } from "./file-kind.ts";
import { ignoredAs, partStarts } from "./file-parts.ts";
import { below, component, entriesOf, readWeightsFile, type WeightsFile } from "./open-file.ts";
import type { Tensors } from "./stored-tensors.ts";
import { unetTensors } from "./unet-names.ts";

/**
 * Opens a UNet in a .safetensors file, under the names of diffusers or of the original layout. Of a whole checkpoint in a single file
 * it is the UNet. The configuration is worked out from the shapes; what they do not tell {@link replaceUnet} takes from a checkpoint.
 *
 * @throws StillmotionError `invalid-checkpoint` or `unsupported`, naming what the file is instead
 */
export async function openUnetFile(files: FileSource, path: string): Promise<Component> {
  return unetFileComponent(await readWeightsFile(files, path));
}

/** As {@link openUnetFile}, for a file whose header was read before. */
export function unetFileComponent(file: WeightsFile): Component {
  const { kind, path, numFrames } = file;
  if (kind !== "unet" && kind !== "checkpoint") {
    const whatItIs =
      kind === "lora"
        ? message`a LoRA, not a UNet: give it with ${option("loras")}`
        : kindInWords(kind, file.header.entries.keys());
    throw new StillmotionError(
      "unsupported",
      message`${path}: is ${whatItIs}; expected a UNet of Stable Video Diffusion`,
    );
  }
  const tensors = tensorsOf(file);
  const config = { ...unetConfigOf(tensors, path), ...(numFrames !== undefined && { num_frames: numFrames }) };
  return component(file, "unet", config, tensors);
}

/**
 * The checkpoint with another UNet. What the shapes of the new UNet do not tell is taken from the old one: the size and the number
 * of frames that it was trained on and, if both have the same widths, the attention heads.
 *
 * @throws StillmotionError `invalid-checkpoint` when the heads are told by neither
 */
export function replaceUnet(checkpoint: Checkpoint, unet: Component): Checkpoint {
  const old = checkpoint.unet.config;
  const isEquallyWide = String(old.block_out_channels) === String(unet.config.block_out_channels);
  if (!isEquallyWide) assertHeadsKnown(unet.config, unet.configFrom!);
  const heads = isEquallyWide ? { num_attention_heads: old.num_attention_heads } : {};
  return { ...checkpoint, unet: { ...unet, config: { ...old, ...unet.config, ...heads } } };
}

function tensorsOf(file: WeightsFile): Tensors {
  if (file.kind === "checkpoint") return unetTensors(below(file, partStarts.unet));
  const all = entriesOf(file, (name) => ignoredAs(name) === undefined);
  return all.has("input_blocks.0.0.weight") ? unetTensors(all) : all;
}
