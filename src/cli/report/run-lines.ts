/** Which sentences does a run say to people, on a terminal and in a log alike? */
import { bytesText } from "../../byte-sizes.ts";
import type { Settings } from "../../options/resolve-settings.ts";
import { flagsOfSettings } from "../run/setting-flags.ts";
import { countText, secondsText } from "../units.ts";
import type { RunPlan, RunResult, WrittenFiles } from "./reporter.ts";

/** `svd-xt: 14 frames of 256x256, 25 steps, preset official svd-xt`. */
export function planLine({ model, preset, settings, clips }: RunPlan): string {
  const { numFrames, width, height, numInferenceSteps, sigmas } = settings;
  const steps = Array.isArray(sigmas) ? sigmas.length - 1 : numInferenceSteps!;
  const count = clips === 1 ? "" : `${countText(clips, "clip")}, each `;
  const size = `${countText(numFrames, "frame")} of ${width}x${height}`;
  return `${model}: ${count}${size}, ${countText(steps, "step")}, preset ${preset}`;
}

export function seedLine({ settings }: Pick<RunPlan, "settings">): string {
  return `seed ${settings.seed}`;
}

/** One line for each file, the last with the time that all of it took. */
export function fileLines({ files, settings, seconds }: RunResult): string[] {
  const { numFrames, width, height } = settings;
  const lines = files.map(
    (written) =>
      `${nameOf(written)}: ${bytesText(written.sizeBytes)}, ${countText(numFrames, "frame")} of ${width}x${height}`,
  );
  return lines.map((line, index) => (index === lines.length - 1 ? `${line}, ${secondsText(seconds)}` : line));
}

function nameOf({ paths }: WrittenFiles): string {
  return paths.length === 1 ? paths[0]! : `${paths[0]} to ${paths.at(-1)}`;
}

/** A note about files whose numbering goes on after the frames that were written. */
export function leftoverText(files: readonly string[], numFrames: number): string {
  const verb = files.length === 1 ? "is" : "are";
  const wrote = `which wrote ${countText(numFrames, "frame")}`;
  return `${someOf(files)} ${verb} not of this run, ${wrote}; --clean removes such files`;
}

export function removedText(files: readonly string[]): string {
  return `removed what an earlier, longer run had left: ${someOf(files)}`;
}

function someOf(files: readonly string[]): string {
  if (files.length <= 3) return files.join(", ");
  return `${files[0]} to ${files.at(-1)} (${countText(files.length, "file")})`;
}

/** `--memory 8GB: --decode-chunk-size 2 was chosen`. */
export function chosenText(maxMemory: string, chosen: Partial<Settings>): string {
  const flags = flagsOfSettings(chosen);
  return `--memory ${maxMemory}: ${flags.length === 0 ? "no option is changed" : `${flags.join(" ")} was chosen`}`;
}
