/**
 * Which tensors of a checkpoint are the scales of others? Weights in fp8 are often stored divided by one, so that they use the whole
 * range of the format.
 *
 * ComfyUI writes `scale_weight` beside `weight`, and a mark `scaled_fp8` (comfy/ops.py `scaled_fp8_ops`), others `weight_scale`. In
 * each the weight is what is stored times its scale.
 */
import { StillmotionError } from "../../errors.ts";
import { floatsOf } from "../../floats.ts";
import { printable } from "../../printable.ts";
import { elementCount } from "../../tensor.ts";
import type { FileSource } from "../file-source.ts";
import { readTensor } from "../safetensors/safetensors-file.ts";
import { dataTypeOf, type SafetensorsEntry } from "../safetensors/safetensors-header.ts";

/** A tensor and the path of its file. */
export interface TensorInFile {
  readonly entry: SafetensorsEntry;
  readonly path: string;
}

/** What only computing in fp8 needs, beside a weight. */
const withoutEffect = /(^|\.)(scale_input|input_scale|comfy_quant)$/;
const mark = /(^|\.)scaled_fp8$/;

/** Layouts that store a weight as several tensors, or in fewer bits. */
const otherLayouts: readonly (readonly [RegExp, string])[] = [
  [/\.weight\._(data|scale|shift)$/, "optimum-quanto"],
  [/\.weight[._:](qdata|tensor_impl)\b|\._weight_qdata$/, "torchao"],
  [/\.weight\.(absmax|quant_map|quant_state\..*|nested_absmax|nested_quant_map)$|\.SCB$/, "bitsandbytes"],
  [/\.(qweight|qzeros)$/, "GPTQ or AWQ"],
];

/**
 * The tensors without those that are scales, or marks of them; the weights have their scales.
 *
 * @throws StillmotionError `unsupported` for scales of blocks, and for other ways to store weights in few bits;
 *   `invalid-checkpoint` for a scale that is not finite
 */
export async function takeScales(
  files: FileSource,
  tensors: ReadonlyMap<string, TensorInFile>,
): Promise<Map<string, TensorInFile>> {
  refuseOtherLayouts(tensors);
  const left = new Map(tensors);
  for (const [name, { entry, path }] of tensors) {
    const weightName = weightOf(name);
    const weight = weightName === undefined ? undefined : left.get(weightName);
    if (mark.test(name) || (withoutEffect.test(name) && tensors.has(name.replace(/[^.]*$/, "weight")))) {
      left.delete(name);
    } else if (weight) {
      left.delete(name);
      if (weight.entry.scales) refuse(path, `has two scales for ${printable(weightName!)}`);
      const scales = await readScales(files, path, entry, weight.entry);
      left.set(weightName!, { ...weight, entry: { ...weight.entry, scales } });
    }
  }
  return left;
}

/** The weight that a scale of this name would belong to. */
function weightOf(name: string): string | undefined {
  if (/(^|\.)scale_weight$/.test(name)) return name.replace(/scale_weight$/, "weight");
  return /weight_scale(_inv)?$/.test(name) ? name.replace(/_scale(_inv)?$/, "") : undefined;
}

async function readScales(
  files: FileSource,
  path: string,
  entry: SafetensorsEntry,
  weight: SafetensorsEntry,
): Promise<Float32Array> {
  const { name, shape } = entry;
  const count = elementCount(shape);
  const isForEachRow = shape[0] === weight.shape[0] && count === shape[0];
  if (count !== 1 && !isForEachRow) {
    throw new StillmotionError(
      "unsupported",
      `${path}: ${printable(name)} of shape [${shape.join(", ")}] scales blocks of ${printable(weight.name)} [${weight.shape.join(", ")}]; ` +
        "stillmotion reads one scale for a weight, or one for each of its rows",
    );
  }
  const scales = floatsOf({ dtype: dataTypeOf(entry, path), data: (await readTensor(files, path, entry)).data });
  const wrong = scales.find((scale) => !Number.isFinite(scale));
  if (wrong !== undefined) refuse(path, `the scale ${printable(name)} is ${wrong}, expected a finite number`);
  return scales;
}

function refuseOtherLayouts(tensors: ReadonlyMap<string, TensorInFile>): void {
  for (const [name, { path }] of tensors) {
    const layout = otherLayouts.find(([pattern]) => pattern.test(name))?.[1];
    if (layout === undefined) continue;
    throw new StillmotionError(
      "unsupported",
      `${path}: its weights are quantised as ${layout} stores them, by its tensor ${printable(name)}; ` +
        "stillmotion reads float32, float16, bfloat16 and fp8, with scales if need be",
    );
  }
}

function refuse(where: string, problem: string): never {
  throw new StillmotionError("invalid-checkpoint", `${where}: ${problem}`);
}
