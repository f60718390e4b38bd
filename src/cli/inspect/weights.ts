/** What does `stillmotion inspect --weights` say of the numbers in the files? */
import { bytesText } from "../../byte-sizes.ts";
import { disk } from "../../node/files/disk.ts";
import { printable } from "../../printable.ts";
import { lookAtWeights, type TensorFinding, type WeightsLook } from "../../weights/checkpoint/look-at-weights.ts";
import { countText } from "../units.ts";
import type { Inspection } from "./inspection.ts";

/** How many tensors are listed to people. */
const shownTensors = 20;

/** The inspection, with what was found by reading all numbers of the files. */
export async function withWeights(inspection: Inspection, paths: readonly string[]): Promise<Inspection> {
  const looks: WeightsLook[] = [];
  for (const path of paths) looks.push(await lookAtWeights(disk, path));
  const wrong = looks.flatMap(({ path, findings }) =>
    findings.filter(isWrong).map((each) => `${path}: ${wrongText(each)}`),
  );
  const problems = [...(inspection.problems ?? []), ...wrong];
  return {
    lines: [...inspection.lines, "", ...looks.flatMap(linesOf)],
    json: { ...inspection.json, problems, weights: looks },
    problems,
  };
}

const isWrong = ({ first }: TensorFinding) => first !== undefined;

function linesOf({ path, tensors, sizeBytes, notLookedAt, findings }: WeightsLook): string[] {
  const wrong = findings.filter(isWrong);
  const zero = findings.filter(({ isZero }) => isZero);
  const large = findings.filter(({ beyondFloat16 }) => beyondFloat16 !== undefined);
  const others = Object.entries(notLookedAt).map(([format, count]) => `${countText(count, "tensor")} of ${format}`);
  const read = `${path}: ${bytesText(sizeBytes)} in ${countText(tensors, "tensor")} read`;
  return [
    wrong.length === 0
      ? `${read}, every number is finite`
      : `${read}, ${countText(wrong.length, "tensor")} not finite:`,
    ...shown(wrong, wrongText),
    ...(zero.length > 0 ? ["  all zero, which may be meant:", ...shown(zero, ({ name }) => printable(name))] : []),
    ...(large.length > 0 ? ["  too large for float16, where they would be infinite:", ...shown(large, largeText)] : []),
    ...(others.length > 0 ? [`  not looked at: ${others.join(", ")}`] : []),
  ];
}

function wrongText({ name, nan, infinite, first }: TensorFinding): string {
  const kinds = [nan > 0 && `${nan} NaN`, infinite > 0 && `${infinite} infinite`].filter((kind) => kind !== false);
  return `${printable(name)} holds ${kinds.join(" and ")}, the first at [${first!.join(", ")}]`;
}

function largeText({ name, beyondFloat16 }: TensorFinding): string {
  return `${printable(name)}, up to ${beyondFloat16!.toPrecision(3)}`;
}

function shown(findings: readonly TensorFinding[], text: (finding: TensorFinding) => string): string[] {
  const rest = findings.length - shownTensors;
  const more = rest > 0 ? [`    and ${rest} more; --json lists all`] : [];
  return [...findings.slice(0, shownTensors).map((finding) => `    ${text(finding)}`), ...more];
}
