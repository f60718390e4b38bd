/** What is a LoRA made for, and can it be used? */
import type { LoraDescription } from "../weights/lora/describe-lora.ts";
import type { Inspection } from "./inspect.ts";
import { countText } from "./units.ts";

export function inspectLora(path: string, lora: LoraDescription): Inspection {
  const { layers, ranks, dtypes, networks, looksLike, problem } = lora;
  const problems = problem === undefined ? [] : [problem];
  const madeFor = looksLike === undefined ? "" : ` for ${looksLike}`;
  const rankText = ranks.length === 0 ? "no rank" : `rank ${ranks.join(", ")}`;
  return {
    json: { kind: "lora", ...lora, problems },
    lines: [
      `${path}: LoRA${madeFor}${problem === undefined ? ", to give with --lora beside a checkpoint" : ""}`,
      `changes ${countText(layers, "layer")} of ${networks.join(", ")}, ${rankText}, ${dtypes.join(", ")}`,
      ...(problem === undefined ? [] : ["", "1 problem:", `  ${problem}`]),
    ],
    problems,
  };
}
