/** What are the UNet's tensors called in the original layout? generative-models sgm/modules/diffusionmodules/video_model.py `VideoUNet`. */
import { renamedStart, resnetName } from "./resnet-names.ts";
import { asLinear, named, type Tensors } from "./stored-tensors.ts";

const outside: Readonly<Record<string, string>> = {
  "time_embed.0": "time_embedding.linear_1",
  "time_embed.2": "time_embedding.linear_2",
  "label_emb.0.0": "add_embedding.linear_1",
  "label_emb.0.2": "add_embedding.linear_2",
  "input_blocks.0.0": "conv_in",
  "middle_block.0": "mid_block.resnets.0",
  "middle_block.1": "mid_block.attentions.0",
  "middle_block.2": "mid_block.resnets.1",
  "out.0": "conv_norm_out",
  "out.2": "conv_out",
};

const insideTransformer: Readonly<Record<string, string>> = {
  time_stack: "temporal_transformer_blocks",
  "time_pos_embed.0": "time_pos_embed.linear_1",
  "time_pos_embed.2": "time_pos_embed.linear_2",
};

/** The tensors of a UNet under their diffusers names. A name that has no place in a UNet stays as it is. */
export function unetTensors(stored: Tensors): Tensors {
  const places = { ...outside, ...inputPlaces(stored), ...outputPlaces(stored) };
  return named([...stored].map(([name, entry]) => [unetName(name, places), asLinearProjection(name, entry)] as const));
}

function unetName(name: string, places: Readonly<Record<string, string>>): string {
  const moved = renamedStart(name, places);
  const inside = /^((?:\w+\.)*(resnets|attentions)\.\d+)\.(.+)$/.exec(moved);
  if (moved === name || !inside) return moved;
  const [, place, kind, rest] = inside as unknown as [string, string, string, string];
  if (kind === "attentions") return `${place}.${renamedStart(rest, insideTransformer)}`;
  if (rest.startsWith("time_mixer.")) return moved;
  const temporal = /^time_stack\.(.+)$/.exec(rest);
  return temporal
    ? `${place}.temporal_res_block.${resnetName(temporal[1]!)}`
    : `${place}.spatial_res_block.${resnetName(rest)}`;
}

/** `use_linear_in_transformer` was off in older networks, which project with 1x1 convolutions. */
function asLinearProjection(name: string, entry: Parameters<typeof asLinear>[0]) {
  return /\.1\.proj_(in|out)\.weight$/.test(name) ? asLinear(entry) : entry;
}

/** The places of the input blocks, which are numbered through: the layers of a level, then its downsampler. */
function inputPlaces(stored: Tensors): Record<string, string> {
  const places: Record<string, string> = {};
  let [level, layer] = [0, 0];
  for (let index = 1; index < blockCount(stored, "input_blocks"); index++) {
    const block = `input_blocks.${index}`;
    if (stored.has(`${block}.0.op.weight`)) {
      places[`${block}.0.op`] = `down_blocks.${level}.downsamplers.0.conv`;
      [level, layer] = [level + 1, 0];
    } else {
      places[`${block}.0`] = `down_blocks.${level}.resnets.${layer}`;
      places[`${block}.1`] = `down_blocks.${level}.attentions.${layer}`;
      layer++;
    }
  }
  return places;
}

/** The places of the output blocks, which are numbered so too. The last one of a level has the upsampler after its other parts. */
function outputPlaces(stored: Tensors): Record<string, string> {
  const places: Record<string, string> = {};
  let [level, layer] = [0, 0];
  for (let index = 0; index < blockCount(stored, "output_blocks"); index++) {
    const block = `output_blocks.${index}`;
    const upsampler = [1, 2].find((part) => stored.has(`${block}.${part}.conv.weight`));
    places[`${block}.0`] = `up_blocks.${level}.resnets.${layer}`;
    if (upsampler !== 1) places[`${block}.1`] = `up_blocks.${level}.attentions.${layer}`;
    layer++;
    if (upsampler !== undefined) {
      places[`${block}.${upsampler}`] = `up_blocks.${level}.upsamplers.0`;
      [level, layer] = [level + 1, 0];
    }
  }
  return places;
}

/** The number of blocks, counted. The numbers in a file's names are not trusted, so that a hostile one costs nothing. */
function blockCount(stored: Tensors, list: string): number {
  const numbers = new Set<string>();
  for (const name of stored.keys()) {
    const [start, number] = name.split(".");
    if (start === list && number !== undefined) numbers.add(number);
  }
  return numbers.size;
}
