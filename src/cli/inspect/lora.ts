/** What is a LoRA made for, how strongly is it added, and can it be used? */
import { disk } from "../../node/files/disk.ts";
import { readSafetensorsHeader } from "../../node/weights.ts";
import { describeLora, type LoraDescription, loraProblem } from "../../weights/lora/describe-lora.ts";
import { findLora } from "../../weights/lora/find-lora.ts";
import type { LayerScale } from "../../weights/lora/layer-scales.ts";
import { readScales } from "../../weights/lora/read-lora.ts";
import { countText } from "../units.ts";
import type { Inspection } from "./inspection.ts";

/** Inspects a LoRA's file, or the folder that PEFT or diffusers wrote; undefined for a file that is something else. */
export async function inspectLora(path: string): Promise<Inspection | undefined> {
  const found = await findLora(disk, path);
  const header = await readSafetensorsHeader(found.path);
  const lora = describeLora(header, found.path, found.beside);
  if (lora)
    return lora.problem === undefined ? usable(found.path, lora) : inspectionOf(found.path, lora, [lora.problem]);
  const problem = found.beside && loraProblem(header, found.path, found.beside);
  if (problem === undefined) return undefined;
  return { json: { kind: "adapter", problems: [problem] }, lines: [problem], problems: [problem] };
}

async function usable(path: string, lora: LoraDescription): Promise<Inspection> {
  const { scales, assumptions } = await readScales(disk, path);
  const json = { alphas: alphasOf(scales), scales: distinct(scales.map(({ scale }) => scale)), assumptions };
  const lines = [scaleText(scales), ...assumptions.map((assumption) => assumption.replace(`${path}: `, ""))];
  return inspectionOf(path, lora, [], { json, lines });
}

const nothing = { json: {}, lines: [] as readonly string[] };

function inspectionOf(
  path: string,
  lora: LoraDescription,
  problems: readonly string[],
  added: typeof nothing = nothing,
): Inspection {
  const { layers, ranks, dtypes, networks, looksLike } = lora;
  const madeFor = looksLike === undefined ? "" : ` for ${looksLike}`;
  const rankText = ranks.length === 0 ? "no rank" : `rank ${ranks.join(", ")}`;
  return {
    json: { kind: "lora", ...lora, ...added.json, problems },
    lines: [
      `${path}: LoRA${madeFor}${problems.length === 0 ? ", to give with --lora beside a checkpoint" : ""}`,
      `changes ${countText(layers, "layer")} of ${networks.join(", ")}, ${rankText}, ${dtypes.join(", ")}`,
      ...added.lines,
      ...(problems.length === 0 ? [] : ["", "1 problem:", ...problems.map((problem) => `  ${problem}`)]),
    ],
    problems,
  };
}

/** How many numbers are listed to people; a file may have one for each layer. */
const shownNumbers = 5;

function scaleText(scales: readonly LayerScale[]): string {
  const alphas = alphasOf(scales);
  const ofAlpha = alphas.length === 0 ? "" : ` (alpha ${listed(alphas)})`;
  return `added at strength 1 with scale ${listed(distinct(scales.map(({ scale }) => scale)))}${ofAlpha}`;
}

function alphasOf(scales: readonly LayerScale[]): number[] {
  return distinct(scales.flatMap(({ alpha = [] }) => alpha));
}

function listed(numbers: readonly number[]): string {
  const shown = numbers.slice(0, shownNumbers).map((value) => Number(value.toPrecision(4)));
  return `${shown.join(", ")}${numbers.length > shownNumbers ? ` and ${numbers.length - shownNumbers} more` : ""}`;
}

/** The different numbers, rising. */
function distinct(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((a, b) => a - b);
}
