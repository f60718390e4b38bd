/** How does an error reach the person at the command line? In their words (flags, not option names), with an exit code. */
import { CommanderError } from "commander";
import { type Message, messageText, StillmotionError } from "../errors.ts";
import { loadFlagOf } from "./run/load-flags.ts";
import { settingFlagOf } from "./run/setting-flags.ts";

export const exitCodes = { done: 0, failed: 1, usage: 2 } as const;

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return exitCodes.usage;
  return error instanceof StillmotionError && error.code === "invalid-option" ? exitCodes.usage : exitCodes.failed;
}

/** The message without "error: ", with flags for options; for an unexpected error with its stack, which helps to mend the program. */
export function errorText(error: unknown): string {
  if (error instanceof CommanderError) return usageText(error);
  const isExpected = error instanceof StillmotionError && error.code !== "internal";
  const message = textWithFlags(saidBy(error));
  const problem = isExpected ? message : `${message}\nThis should not happen; please report it with what follows.`;
  const showStack = !isExpected || process.env.STILLMOTION_DEBUG === "1";
  return showStack && error instanceof Error ? `${problem}\n${error.stack}` : problem;
}

function saidBy(error: unknown): Message {
  if (error instanceof StillmotionError) return error.said;
  return error instanceof Error ? error.message : String(error);
}

function usageText(error: CommanderError): string {
  const message = error.message.replace(/^error: /, "");
  return message.includes("(Did you mean") ? message : `${message}\nRun with --help for what can be given.`;
}

/** `generate: numInferenceSteps is 0` becomes `--steps is 0`. An option without a flag keeps its name. */
export function textWithFlags(said: Message): string {
  return messageText(
    said,
    (name) => flagOf(name) ?? name,
    () => "",
  );
}

/** What an option of the library is on the command line, if anything. */
export function flagOf(name: string): string | undefined {
  return settingFlagOf(name) ?? loadFlagOf(name);
}

/** An error for programs, in one object: the option that it is about by the library's name and by its flag. */
export function errorFields(error: unknown): Readonly<Record<string, unknown>> {
  const message = errorText(error);
  if (error instanceof CommanderError) return { code: "usage", message };
  if (!(error instanceof StillmotionError)) return { code: "internal", message };
  const { code, option } = error;
  return { code, message, option, flag: option === undefined ? undefined : flagOf(option) };
}
