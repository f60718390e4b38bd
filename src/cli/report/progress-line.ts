/** How does one moment of a run look on one line of a terminal, however narrow it is? */
import { secondsText } from "../units.ts";
import { partNames, type RunStage, type StageTimes } from "./stage-clock.ts";

const labels: Readonly<Record<RunStage, string>> = {
  "image encoder": "reading image",
  "vae encoder": "encoding",
  conditioning: "conditioning",
  unet: "denoising",
  "vae decoder": "decoding",
  export: "writing",
};
const labelWidth = Math.max(...Object.values(labels).map((label) => label.length));

const narrowestBar = 10;
const widestBar = 40;

/**
 * E.g. `denoising      ██████████░░░░░░░░░░  step 12/25  1.4 s a step  18 s left`. What does not fit is left out, the
 * least needed first.
 *
 * @param columns of the terminal; the line stays one shorter, so that it never wraps
 */
export function progressLine(times: StageTimes, columns: number): string {
  const label = labels[times.stage].padEnd(labelWidth);
  const width = columns - 1;
  const texts = textsOf(times);
  for (let shown = texts.length; shown >= 1; shown--) {
    const rest = texts.slice(0, shown).join("  ");
    const room = width - label.length - rest.length - 4;
    if (times.total > 0 && room >= narrowestBar) return `${label}  ${bar(times, Math.min(room, widestBar))}  ${rest}`;
    if (times.total === 0 && room >= 0) return `${label}  ${rest}`;
  }
  return `${label.trim()} ${texts[0]}`.slice(0, Math.max(0, width));
}

/** The texts of the line, the most needed first. */
function textsOf({ stage, state, done, total, elapsedSeconds, secondsPerPart, secondsLeft }: StageTimes): string[] {
  if (state !== "running") return [elapsedSeconds < 1 ? "loading" : `loading, ${secondsText(elapsedSeconds)}`];
  const part = partNames[stage];
  const texts = [`${part} ${done}/${total}`];
  if (secondsPerPart !== undefined && secondsLeft !== undefined && done < total) {
    texts.push(`${secondsText(secondsLeft)} left`, `${secondsText(secondsPerPart)} a ${part}`);
  } else if (done < total && elapsedSeconds >= 2) {
    texts.push(`${secondsText(elapsedSeconds)} so far`);
  }
  return texts;
}

export function bar({ done, total }: Pick<StageTimes, "done" | "total">, width: number): string {
  const filled = Math.floor((done / total) * width);
  return "█".repeat(filled) + "░".repeat(width - filled);
}
