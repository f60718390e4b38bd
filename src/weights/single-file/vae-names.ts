/** What are the VAE's tensors called in the original layout? generative-models sgm/modules/diffusionmodules/model.py and autoencoding/temporal_ae.py. */
import { renamedStart, resnetName } from "./resnet-names.ts";
import { asLinear, named, type Tensors } from "./stored-tensors.ts";

const names: Readonly<Record<string, string>> = {
  norm_out: "conv_norm_out",
  "mid.block_1": "mid_block.resnets.0",
  "mid.block_2": "mid_block.resnets.1",
  "mid.attn_1.norm": "mid_block.attentions.0.group_norm",
  "mid.attn_1.q": "mid_block.attentions.0.to_q",
  "mid.attn_1.k": "mid_block.attentions.0.to_k",
  "mid.attn_1.v": "mid_block.attentions.0.to_v",
  "mid.attn_1.proj_out": "mid_block.attentions.0.to_out.0",
  "conv_out.time_mix_conv": "time_conv_out",
};

/** True for a decoder that looks across frames, false for one that decodes each by itself. */
export function isTemporal(decoder: Tensors): boolean {
  return decoder.has("conv_out.time_mix_conv.weight") || decoder.has("time_conv_out.weight");
}

/** The tensors of an encoder, named from `encoder.` on, under their diffusers names. */
export function encoderTensors(stored: Tensors): Tensors {
  return named(
    [...stored].map(([name, entry]) => {
      const moved = name
        .replace(/^down\.(\d+)\.block\.(\d+)\./, "down_blocks.$1.resnets.$2.")
        .replace(/^down\.(\d+)\.downsample\./, "down_blocks.$1.downsamplers.0.")
        .replace(".nin_shortcut.", ".conv_shortcut.");
      return [`encoder.${renamedStart(moved, names)}`, asLinearAttention(name, entry)] as const;
    }),
  );
}

/** The tensors of a decoder. Its levels are numbered from the largest picture down, those of diffusers the other way round. */
export function decoderTensors(stored: Tensors): Tensors {
  const levels = new Set([...stored.keys()].map((name) => /^up\.(\d+)\./.exec(name)?.[1]).filter(Boolean)).size;
  const mirrored = (level: string) => levels - 1 - Number(level);
  const resnet = stored.has("conv_out.time_mix_conv.weight") ? temporalResnetName : (rest: string) => rest;
  return named(
    [...stored].map(([name, entry]) => {
      const moved = name
        .replace(/^up\.(\d+)\.block\./, (_, level: string) => `up_blocks.${mirrored(level)}.resnets.`)
        .replace(/^up\.(\d+)\.upsample\./, (_, level: string) => `up_blocks.${mirrored(level)}.upsamplers.0.`)
        .replace(".nin_shortcut.", ".conv_shortcut.");
      const renamed = renamedStart(moved, names).replace(
        /^(.+\.resnets\.\d+\.)(.+)$/,
        (_, place: string, rest: string) => place + resnet(rest),
      );
      return [`decoder.${renamed}`, asLinearAttention(name, entry)] as const;
    }),
  );
}

function temporalResnetName(rest: string): string {
  if (rest === "mix_factor") return "time_mixer.mix_factor";
  const temporal = /^time_stack\.(.+)$/.exec(rest);
  return temporal ? `temporal_res_block.${resnetName(temporal[1]!)}` : `spatial_res_block.${rest}`;
}

/** The attention of the middle block projects with 1x1 convolutions. */
function asLinearAttention(name: string, entry: Parameters<typeof asLinear>[0]) {
  return name.startsWith("mid.attn_1.") ? asLinear(entry) : entry;
}
