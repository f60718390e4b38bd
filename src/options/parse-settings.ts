/** Are the given options what the schema says, and if not, what is told to the person who gave them? */
import type { z } from "zod";
import { type ErrorCode, inCall, joined, type Message, message, option, StillmotionError } from "../errors.ts";
import { type GenerateSettings, generateSchema, type OptionName, presentationOf } from "./generate-options.ts";
import { expectationOf } from "./option-text.ts";

/**
 * Checks options given by a caller or a preset. Snake-case names, as in Python's call, are taken for the camel-case ones.
 *
 * @param where starts each message, e.g. `generate` or `preset.json`
 * @param code `invalid-checkpoint` for settings of a checkpoint's file, whose names are not options of a call
 * @throws StillmotionError `code`, naming the option, what was got and what was expected
 */
export function parseSettings(
  where: string,
  given: Readonly<Record<string, unknown>>,
  code: ErrorCode = "invalid-option",
): GenerateSettings {
  const origin = originOf(where, code);
  const present = camelCaseKeys(where, given, code);
  const result = generateSchema.safeParse(present);
  if (result.success) return result.data;
  // A value that fits none of several types has an issue for each.
  const problems = new Map(result.error.issues.map((issue) => [String(issue.path[0]), issue]));
  const messages = [...problems.values()].map((issue) => describeIssue(issue, present, origin));
  throw new StillmotionError(code, joined(messages, "\n"));
}

/** How messages about settings begin, and what they call them. */
export interface Origin {
  readonly start: Message;
  readonly named: (name: string) => Message;
}

/** A caller's settings are options of a call; those of a checkpoint's file have the file's names. */
export function originOf(where: string, code: ErrorCode): Origin {
  return code === "invalid-checkpoint"
    ? { start: `${where}: `, named: (name) => name }
    : { start: [inCall(where)], named: (name) => [option(name)] };
}

/**
 * `num_frames` becomes `numFrames`; a name given in both spellings is an error. What is undefined or null, as Python's
 * None, is left out.
 */
export function camelCaseKeys(
  where: string,
  given: Readonly<Record<string, unknown>>,
  code: ErrorCode = "invalid-option",
): Record<string, unknown> {
  const { start, named } = originOf(where, code);
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    const name = key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    if (Object.hasOwn(result, name)) {
      throw new StillmotionError(code, message`${start}${named(name)} is given twice, in two spellings; keep one`);
    }
    result[name] = value;
  }
  return result;
}

/** A message for one problem of the given options. */
function describeIssue(
  issue: z.core.$ZodIssue,
  given: Readonly<Record<string, unknown>>,
  { start, named }: Origin,
): Message {
  if (issue.code === "unrecognized_keys") {
    const keys = issue.keys.map((key) => message`${named(key)} is not an option; ${suggestion(key, named)}`);
    return message`${start}${joined(keys, "; ")}`;
  }
  const [name] = issue.path as [OptionName];
  const mend = name === "seed" && [given[name]].flat().some(isInexact) ? inexactMend : "";
  return message`${start}${named(name)} is ${show(given[name])}, expected ${expectationOf(name)}${mend}`;
}

function isInexact(value: unknown): boolean {
  return Number.isInteger(value) && !Number.isSafeInteger(value);
}

const inexactMend = "; beyond 2^53 a number is not exact: give a bigint, or in JSON its digits as a string";

/** The option whose name or flag holds what was written, else all of them. */
function suggestion(key: string, named: Origin["named"]): Message {
  const names = Object.keys(generateSchema.shape) as OptionName[];
  const written = key.toLowerCase();
  const isMeant = (name: OptionName) =>
    name.toLowerCase().includes(written) ||
    written.includes(name.toLowerCase()) ||
    presentationOf(name).flag === written;
  const meant = names.filter(isMeant);
  return meant.length > 0
    ? message`did you mean ${joined(meant.map(named), " or ")}?`
    : message`the options are ${joined(names.map(named), ", ")}`;
}

/** A given value, for messages. */
export function show(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number") return String(value);
  const text = Array.isArray(value) ? `[${value.map(show).join(",")}]` : jsonText(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

function jsonText(value: unknown): string {
  return JSON.stringify(value, (_, each) => (typeof each === "bigint" ? `${each}n` : each)) ?? typeof value;
}
