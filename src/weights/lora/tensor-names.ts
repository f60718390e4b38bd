/** What does a tensor's name in a LoRA file say? Which layer it changes, in whose spelling, and which part of the pair it is. */
import { withoutWrappers } from "../names/wrapper-prefixes.ts";

/**
 * - `diffusers`: the layer's own path, as diffusers and PEFT write it
 * - `attention processors`: the older diffusers form, `attn1.processor.to_q_lora`
 * - `kohya`: the path with underscores for dots, which only the network's own paths can tell apart
 */
export type Spelling = "diffusers" | "attention processors" | "kohya";

/** One half of the pair, or alpha, the number that is divided by the rank. */
type LoraPart = "down" | "up" | "alpha";

export interface LoraTensorName {
  /** What comes before the layer's path: "unet", "text_encoder", "transformer" ...; "unet" where nothing does. */
  readonly network: string;
  /** The path of the layer; for kohya with underscores. */
  readonly layer: string;
  readonly part: LoraPart;
  readonly spelling: Spelling;
}

const parts: Readonly<Record<string, LoraPart>> = {
  lora_A: "down",
  lora_B: "up",
  lora_down: "down",
  lora_up: "up",
  "lora.down": "down",
  "lora.up": "up",
  "lora_linear_layer.down": "down",
  "lora_linear_layer.up": "up",
  down: "down",
  up: "up",
};

const kohya = /^lora_([a-z]+\d?)_([^.]+)\.(?:(lora_down|lora_up)\.weight|alpha)$/;
const processor = /^(.+?)(?:\.processor)?\.to_(q|k|v|out)_lora\.(?:(down|up)\.weight|alpha)$/;
// PEFT puts the adapter's name, such as "default", between the part and "weight".
const path = /^(.+?)\.(lora_A|lora_B|lora_down|lora_up|(?:lora|lora_linear_layer)\.(?:down|up))(?:\.[^.]+)?\.weight$/;
const pathAlpha = /^(.+)\.alpha$/;
const peft = /^(base_model\.model)\.(.+)$/;
const prefix =
  /^(base_model\.model|unet|text_encoder(?:_\d)?|image_encoder|vae|transformer|(?:model\.)?diffusion_model)\.(.+)$/;
/** How the paths of a UNet begin in diffusers' names. */
const unetPath = /^(?:(?:down|up)_blocks|mid_block|conv_in|conv_out|time_embedding|add_embedding)\./;
/** The attribute in which trainers keep the pipeline's UNet, or the UNet itself. */
const holder = new RegExp(String.raw`^(?:model\.)+(?=unet\.|${unetPath.source.slice(1)})`);

/** Several times the longest name in use. */
const maxNameLength = 1024;

/** What a tensor's name says; undefined for a name that no tensor of a LoRA has. */
export function readTensorName(name: string): LoraTensorName | undefined {
  if (name.length > maxNameLength) return undefined;
  const underscored = kohya.exec(withoutWrappers(name));
  if (underscored) {
    const [, network, path, part = "alpha"] = underscored;
    const layer = path!.replace(/^(?:module_|_orig_mod_)+|__orig_mod(?=_)/g, "");
    return { network: network!, layer, part: parts[part] ?? "alpha", spelling: "kohya" };
  }
  const { network, rest } = readNetwork(name);
  const old = processor.exec(rest);
  if (old) {
    const [, attention, projection, part = "alpha"] = old;
    const layer = `${attention}.${projection === "out" ? "to_out.0" : `to_${projection}`}`;
    return { network, layer, part: parts[part] ?? "alpha", spelling: "attention processors" };
  }
  const dotted = path.exec(rest);
  if (dotted) return { network, layer: dotted[1]!, part: parts[dotted[2]!]!, spelling: "diffusers" };
  const alpha = pathAlpha.exec(rest);
  return alpha ? { network, layer: alpha[1]!, part: "alpha", spelling: "diffusers" } : undefined;
}

/** Takes off prefixes, which come in any order with wrappers between: `base_model.model.unet.`, `model.unet._orig_mod.base_model.model.`. */
function readNetwork(name: string): { network: string; rest: string } {
  let network: string | undefined;
  let rest = withoutWrappers(name).replace(holder, "");
  for (;;) {
    const [, found, after] = (network === undefined ? prefix : peft).exec(rest) ?? [];
    if (after === undefined) break;
    if (found !== "base_model.model") network = found;
    rest = withoutWrappers(after).replace(holder, "");
  }
  // The original code calls every network that denoises so, diffusion transformers too.
  const isUnet = network === undefined || (network.endsWith("diffusion_model") && unetPath.test(rest));
  return { network: isUnet ? "unet" : network!, rest };
}

/** The layer's path as PEFT saw it, with the wrappers that were around it. */
export function pathInPeft(name: string): string {
  const bare = name.replace(/^base_model\.model\./, "");
  return path.exec(bare)?.[1] ?? bare;
}

/** The other kind of adapter that names its tensors so; undefined for names of no kind that is known. */
export function otherAdapter(name: string): string | undefined {
  if (/\.(dora_scale|lora_magnitude_vector)\b/.test(name)) return "DoRA";
  if (/\.hada_/.test(name)) return "LoHa";
  if (/\.lokr_/.test(name)) return "LoKr";
  if (/\.(oft_|oft\.)/.test(name)) return "OFT";
  if (/\.lora_mid\./.test(name)) return "a LoRA in three parts (lora_mid)";
  if (/\.(lora_B|lora_up)(\.[^.]+)?\.bias$|\.diff_b$/.test(name)) return "a LoRA with biases";
  if (/\.diff$/.test(name)) return "a LoRA with whole differences (diff)";
  return undefined;
}
