/** What does a file's own metadata say of its scale? diffusers, trainers of the PEFT family and kohya's scripts write it differently. */
import { parseJsonObject } from "../../json/json-reader.ts";
import type { JsonObject } from "../types.ts";
import { type AdapterConfig, readAdapterConfig } from "./adapter-config.ts";

type Metadata = Readonly<Record<string, string>>;

/** The configurations that the metadata hold: none as a rule, or one. */
export function configsInMetadata(metadata: Metadata, where: string): AdapterConfig[] {
  const found = [diffusersConfig(metadata, where), peftMembers(metadata, where), kohyaConfig(metadata, where)];
  return [...found.filter((config) => config !== undefined), ...plainNumbers(metadata, where)];
}

/** The metadata key of diffusers 0.42.1 loaders/lora_base.py `LORA_ADAPTER_METADATA_KEY`, whose text is JSON. */
const diffusersKey = "lora_adapter_metadata";

function diffusersConfig(metadata: Metadata, where: string): AdapterConfig | undefined {
  const text = textOf(metadata, diffusersKey);
  if (text === undefined) return undefined;
  const place = `${where}: its metadata ${diffusersKey}`;
  return readAdapterConfig(ofUnet(jsonObject(text, place)), place);
}

/** The members for the UNet. Those with the prefix `unet.`, as pipelines write them, come before bare ones of the same name. */
function ofUnet(members: JsonObject): JsonObject {
  const named = Object.entries(members).flatMap(([name, value]): [string, unknown][] =>
    name.startsWith("unet.") ? [[name.slice("unet.".length), value]] : [],
  );
  return { ...members, ...Object.fromEntries(named) };
}

/** Members of PEFT's configuration that trainers write into the metadata one by one. */
const peftNames =
  /^(r|lora_alpha|(rank|alpha)_pattern|use_(rslora|dora|qalora|bdlora)|peft_type|lora_bias|init_lora_weights)$/;

function peftMembers(metadata: Metadata, where: string): AdapterConfig | undefined {
  const place = `${where}: its metadata`;
  const members = Object.entries(ofUnet(metadata) as Metadata)
    .filter(([name]) => peftNames.test(name))
    .map(([name, text]): [string, unknown] => [name, readText(text, `${place} ${name}`)]);
  if (members.every(([name]) => name === "r")) return undefined;
  const { defaultAlpha: _, ...config } = readAdapterConfig(Object.fromEntries(members), place);
  return config;
}

/** What other trainers call alpha and rank. */
const plainNames = [
  ["network_alpha", "network_dim"],
  ["alpha", "rank"],
] as const;

function plainNumbers(metadata: Metadata, where: string): AdapterConfig[] {
  return plainNames.flatMap(([name, rankName]) => {
    const [alpha, rank] = [numberAt(metadata, name), numberAt(metadata, rankName)];
    return alpha === undefined ? [] : [{ where: `${where}: its metadata ${name}`, ofLayer: () => ({ alpha, rank }) }];
  });
}

/** A value from its text in Python or JSON. What is neither stays text. */
function readText(given: string, where: string): unknown {
  const text = given.replace(/^PeftType\./, "");
  if (/^(true|false)$/i.test(text)) return text.toLowerCase() === "true";
  if (/^(none|null|)$/i.test(text)) return null;
  if (text.startsWith("{")) return jsonObject(text.includes('"') ? text : text.replaceAll("'", '"'), where);
  return numberIn(text) ?? text;
}

/** kohya's scripts: `ss_network_alpha`, and for kernels of more than one tap `conv_alpha` of `ss_network_args`. */
function kohyaConfig(metadata: Metadata, where: string): AdapterConfig | undefined {
  const alpha = numberAt(metadata, "ss_network_alpha");
  if (alpha === undefined) return undefined;
  const rank = numberAt(metadata, "ss_network_dim");
  const text = textOf(metadata, "ss_network_args") ?? "{}";
  const args = text.startsWith("{") ? jsonObject(text, `${where}: its metadata ss_network_args`) : {};
  const argument = (name: string) => (Object.hasOwn(args, name) ? numberIn(String(args[name])) : undefined);
  // sd-scripts networks/lora.py `create_network`: conv_alpha is 1 where only conv_dim is given.
  const kernelRank = argument("conv_dim");
  const ofKernels = kernelRank === undefined ? undefined : { alpha: argument("conv_alpha") ?? 1, rank: kernelRank };
  return {
    where: `${where}: its metadata ss_network_alpha`,
    ofLayer: ({ hasKernel }) => (hasKernel && ofKernels ? ofKernels : { alpha, rank }),
  };
}

/** Undefined for words such as "None" and "Dynamic". */
function numberAt(metadata: Metadata, name: string): number | undefined {
  const text = textOf(metadata, name);
  return text === undefined ? undefined : numberIn(text);
}

function numberIn(text: string): number | undefined {
  return /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(text) ? Number(text) : undefined;
}

function textOf(metadata: Metadata, name: string): string | undefined {
  return Object.hasOwn(metadata, name) ? metadata[name] : undefined;
}

/** V8 13.6 has a `JSON.parse` that confuses names with escapes, which the keys of `alpha_pattern` have. */
function jsonObject(text: string, where: string): JsonObject {
  return parseJsonObject(new TextEncoder().encode(text), where);
}
