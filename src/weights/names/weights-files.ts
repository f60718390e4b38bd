/** Which files hold the weights of one component? File names tell the variant (`fp16` …) and whether they are sharded. */
import { message, option, StillmotionError } from "../../errors.ts";
import { refusePickle } from "../safetensors/safetensors-header.ts";
import type { Component } from "../types.ts";

/** The files of one variant: all weights in one, or an index that names the shards, or both. */
interface VariantFiles {
  single?: string;
  index?: string;
}

/** How a library names the files of one component. */
export interface WeightsNaming {
  /** `diffusion_pytorch_model` in diffusers, `model` in transformers. */
  readonly stem: string;
  /** What the library reads when both are there. */
  readonly preferred: "single" | "index";
}

const diffusers: WeightsNaming = { stem: "diffusion_pytorch_model", preferred: "index" };
const transformers: WeightsNaming = { stem: "model", preferred: "single" };

/** Each component of a checkpoint, by the library that names its files. */
export const weightsNamings: Readonly<Record<Component["name"], WeightsNaming>> = {
  unet: diffusers,
  vae: diffusers,
  image_encoder: transformers,
};

/** The variants in a listing of one component's folder; the plain files are variant "". */
export function variantsIn(fileNames: readonly string[], stem: string): ReadonlyMap<string, VariantFiles> {
  const variants = new Map<string, VariantFiles>();
  const add = (variant: string, files: VariantFiles) => {
    variants.set(variant, { ...variants.get(variant), ...files });
  };
  // `*.index.fp16.json` is how both libraries write it now, the other two orders are older.
  const indexName = /^(?:\.([^.]+))?\.safetensors(?:\.([^.]+))?\.index(?:\.([^.]+))?\.json$/;
  const singleName = /^(?:\.([^.]+))?\.safetensors$/;
  for (const name of [...fileNames].sort()) {
    if (!name.startsWith(stem)) continue;
    const rest = name.slice(stem.length);
    const single = singleName.exec(rest);
    const index = indexName.exec(rest);
    if (single && !/-\d{5}-of-\d{5}$/.test(single[1] ?? "")) add(single[1] ?? "", { single: name });
    if (index) add(index[1] ?? index[2] ?? index[3] ?? "", { index: name });
  }
  return variants;
}

/** What mends a variant that is not there. */
export const leaveVariantOut = message`leave the ${option("variant")} out`;

/**
 * The file to read: the weights themselves, or the index of their shards.
 *
 * A component without the wanted variant is read from its plain files, as diffusers 0.42.1 does
 * (pipelines/pipeline_loading_utils.py `_identify_model_variants`). Where no variant is asked for, plain files come first,
 * and a component that has one single variant is read from that (diffusers would refuse).
 *
 * @param folder the component's folder, for messages
 */
export function chooseWeightsFile(
  fileNames: readonly string[],
  { stem, preferred }: WeightsNaming,
  folder: string,
  variant: string | undefined,
): { kind: "single" | "index"; name: string } {
  const variants = variantsIn(fileNames, stem);
  if (variants.size === 0) refuseWithoutWeights(fileNames, stem, folder);

  let files = (variant === undefined ? undefined : variants.get(variant)) ?? variants.get("");
  if (!files && variant === undefined && variants.size === 1) [files] = variants.values();
  if (!files) {
    const given =
      variant === undefined ? "no plain weights" : `neither weights of the variant "${variant}" nor plain ones`;
    const names = [...variants.keys()].join(", ");
    const problem = message`${folder}: has ${given}; choose the ${option("variant")}: ${names}`;
    throw new StillmotionError("invalid-checkpoint", problem);
  }
  const other = preferred === "single" ? "index" : "single";
  const kind = files[preferred] === undefined ? other : preferred;
  return { kind, name: files[kind]! };
}

function refuseWithoutWeights(fileNames: readonly string[], stem: string, folder: string): never {
  const pickle = fileNames.find((name) => /\.(bin|ckpt|pt|pth|pkl)$/.test(name));
  if (pickle !== undefined) refusePickle(`${folder}/${pickle}`);
  const holds = fileNames.length === 0 ? "is empty" : `holds ${fileNames.slice(0, 8).sort().join(", ")}`;
  const expected = `expected ${stem}.safetensors, ${stem}.fp16.safetensors or ${stem}.safetensors.index.json`;
  throw new StillmotionError("invalid-checkpoint", `${folder}: ${holds}; ${expected}: is the download complete?`);
}
