/** How does an error reach the person at the command line? In their words (flags, not option names), with an exit code. */
import { CommanderError } from "commander";
import { StillmotionError } from "../errors.ts";
import { generateSchema, type OptionName, presentationOf } from "../pipeline/options.ts";

export const exitCodes = { done: 0, failed: 1, usage: 2 } as const;

/** Options of the library that the schema does not hold, by their flags. */
const otherFlags: Readonly<Record<string, string>> = {
  variant: "variant",
  loras: "lora",
  preset: "preset",
  revision: "revision",
  localFilesOnly: "local-files-only",
  dtype: "dtype",
  weightStorage: "weight-storage",
  device: "device",
  offload: "offload",
  maxMemory: "memory",
  threads: "threads",
  scratchFolder: "scratch-folder",
  background: "background",
  colorProfile: "color-profile",
  maxPixels: "max-pixels",
  maxBytes: "max-bytes",
  timeoutMs: "timeout-ms",
};

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return exitCodes.usage;
  return error instanceof StillmotionError && error.code === "invalid-option" ? exitCodes.usage : exitCodes.failed;
}

/** The message without "error: ", in terms of flags; with the stack where that helps whoever mends the program. */
export function errorText(error: unknown): string {
  if (error instanceof CommanderError) return usageText(error);
  const isExpected = error instanceof StillmotionError && error.code !== "internal";
  const message = withFlags(error instanceof Error ? error.message : String(error));
  const problem = isExpected ? message : `${message}\nThis should not happen; please report it with what follows.`;
  const showStack = !isExpected || process.env.STILLMOTION_DEBUG === "1";
  return showStack && error instanceof Error ? `${problem}\n${error.stack}` : problem;
}

function usageText(error: CommanderError): string {
  const message = error.message.replace(/^error: /, "");
  return message.includes("(Did you mean") ? message : `${message}\nRun with --help for what can be given.`;
}

/**
 * `generate: numInferenceSteps is 0` becomes `--steps is 0`. A name of one plain word is an option only where a sentence
 * begins with it.
 */
export function withFlags(message: string): string {
  return message.split("\n").map(lineWithFlags).join("\n");
}

function lineWithFlags(line: string): string {
  const start = line.replace(/^(generate|fromPretrained|loadImage): /, "");
  const flagged = start.replace(/^[a-zA-Z]+(?=:? |\[)/, (word) => flagOf(word) ?? word);
  const bare = flagged.startsWith("--") || start !== line ? flagged : line;
  return bare.replace(/\b[a-z]+[A-Z][A-Za-z]*\b|(?<=\(see )[a-z]+(?=\))/g, (word) => flagOf(word) ?? word);
}

function flagOf(name: string): string | undefined {
  const flag = Object.hasOwn(generateSchema.shape, name)
    ? presentationOf(name as OptionName).flag
    : Object.hasOwn(otherFlags, name)
      ? otherFlags[name]
      : undefined;
  return flag === undefined ? undefined : `--${flag}`;
}
