/** How do options look in words? What each takes, and which value a text stands for. */
import { z } from "zod";
import { exactInteger } from "../json/json-integers.ts";
import { generateSchema, type OptionName } from "./generate-options.ts";

/** What an option takes, in words, from its schema: "a whole number from 1 to 1000". */
export function expectationOf(name: OptionName): string {
  return expectation(z.toJSONSchema(generateSchema.shape[name].unwrap(), { unrepresentable: "any" }));
}

/**
 * The value that text from a command line, a form or a URL stands for. Lists are separated by commas. Text that is no
 * number where one is expected stays text, so that `parseSettings` says what was got.
 */
export function valueFromText(name: OptionName, text: string): unknown {
  const { isList, isScalar, isText } = kindOf(
    z.toJSONSchema(generateSchema.shape[name].unwrap(), { unrepresentable: "any" }),
  );
  if (isText) return text;
  return isList && (!isScalar || text.includes(",")) ? text.split(",").map(numberFromText) : numberFromText(text);
}

function kindOf(schema: z.core.JSONSchema._JSONSchema): { isList: boolean; isScalar: boolean; isText: boolean } {
  const kinds = (typeof schema === "object" && schema.anyOf) || [schema];
  const isList = kinds.some((kind) => typeof kind === "object" && kind.type === "array");
  const isScalar = kinds.some((kind) => typeof kind === "object" && kind.type !== "array");
  return { isList, isScalar, isText: typeof schema === "object" && schema.enum !== undefined };
}

/** A number as people write it in decimal, a bigint where a number would not hold it exactly, else the text itself. */
export function numberFromText(text: string): number | bigint | string {
  const trimmed = text.trim();
  if (/^[+-]?\d+$/.test(trimmed)) {
    return exactInteger(BigInt(trimmed.replace(/^\+/, "")));
  }
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed) ? Number(trimmed) : text;
}

function expectation(schema: z.core.JSONSchema._JSONSchema): string {
  if (typeof schema === "boolean") return "anything";
  if (schema.description !== undefined) return schema.description;
  if (schema.anyOf) return [...new Set(schema.anyOf.map(expectation))].join(" or ");
  if (schema.enum) return schema.enum.join(", ");
  if (schema.prefixItems) {
    const [first] = schema.prefixItems;
    return `a list of ${schema.prefixItems.length}, each ${expectation(first as z.core.JSONSchema._JSONSchema)}`;
  }
  if (schema.type === "array") {
    return `a list of ${schema.minItems ?? 0} or more, each ${expectation(schema.items as z.core.JSONSchema._JSONSchema)}`;
  }
  const kind = schema.type === "integer" ? "a whole number" : schema.type === "number" ? "a number" : undefined;
  if (!kind) return "anything";
  const isBounded = schema.minimum !== undefined && Math.abs(schema.minimum) < Number.MAX_SAFE_INTEGER;
  const range = isBounded
    ? schema.maximum === undefined || schema.maximum >= Number.MAX_SAFE_INTEGER
      ? ` of ${schema.minimum} or more`
      : ` from ${schema.minimum} to ${schema.maximum}`
    : "";
  return `${kind}${range}${schema.multipleOf ? `, a multiple of ${schema.multipleOf}` : ""}`;
}
