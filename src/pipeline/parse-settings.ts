/** Are the given options what the schema says, and if not, what is told to the person who gave them? */
import type { z } from "zod";
import { type ErrorCode, StillmotionError } from "../errors.ts";
import { expectationOf } from "./option-text.ts";
import { type GenerateSettings, generateSchema, type OptionName, presentationOf } from "./options.ts";

/**
 * Checks options given by a caller or a preset. Snake-case names, as in Python's call, are taken for the camel-case ones.
 *
 * @param where starts each message, e.g. `generate` or `preset.json`
 * @throws StillmotionError `code`, naming the option, what was got and what was expected
 */
export function parseSettings(
  where: string,
  given: Readonly<Record<string, unknown>>,
  code: ErrorCode = "invalid-option",
): GenerateSettings {
  const present = camelCaseKeys(where, given);
  const result = generateSchema.safeParse(present);
  if (result.success) return result.data;
  const problems = new Set(result.error.issues.map((issue) => describeIssue(issue, present)));
  throw new StillmotionError(code, [...problems].map((problem) => `${where}: ${problem}`).join("\n"));
}

/**
 * `num_frames` becomes `numFrames`; a name given in both spellings is an error. What is undefined or null, as Python's
 * None, is left out.
 */
export function camelCaseKeys(where: string, given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    const name = key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    if (Object.hasOwn(result, name)) {
      throw new StillmotionError("invalid-option", `${where}: ${name} is given twice, in two spellings; keep one`);
    }
    result[name] = value;
  }
  return result;
}

/** A message for one problem of the given options. */
function describeIssue(issue: z.core.$ZodIssue, given: Readonly<Record<string, unknown>>): string {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `${key} is not an option; ${suggestion(key)}`).join("; ");
  }
  const [name] = issue.path as [OptionName];
  return `${name} is ${show(given[name])}, expected ${expectationOf(name)}`;
}

/** The option whose name or flag holds what was written, else all of them. */
function suggestion(key: string): string {
  const names = Object.keys(generateSchema.shape) as OptionName[];
  const written = key.toLowerCase();
  const isMeant = (name: OptionName) =>
    name.toLowerCase().includes(written) ||
    written.includes(name.toLowerCase()) ||
    presentationOf(name).flag === written;
  const meant = names.filter(isMeant);
  return meant.length > 0 ? `did you mean ${meant.join(" or ")}?` : `the options are ${names.join(", ")}`;
}

/** A given value, for messages. */
export function show(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number") return String(value);
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
