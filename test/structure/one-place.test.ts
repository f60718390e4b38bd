/**
 * Is each choice, limit, default and help text of an option written in one place? The schemas of src/options are that place,
 * or name it: the samplers' names, for one, are taken from the samplers.
 */
import { expect, it } from "vitest";
import { z } from "zod";
import { colorProfiles, loadImageDefaults } from "../../src/node/image/open-picture.ts";
import {
  generateDefaults,
  generateSchema,
  type OptionName,
  presentationOf,
} from "../../src/options/generate-options.ts";
import { loadDefaults, loadPresentations, loadSchema } from "../../src/options/load-options.ts";
import { expectationOf } from "../../src/options/option-text.ts";
import { readSources, type Sources, withJoinedTexts } from "./sources.ts";

/** What may be written once. */
interface OptionFacts {
  readonly name: string;
  /** Of each list that it is chosen from. */
  readonly choices: readonly (readonly string[])[];
  readonly lowest: readonly number[];
  readonly highest: readonly number[];
  /** As code, such as `127` and `"exact"`. */
  readonly defaults: readonly string[];
  /** Its help, and its range in words. */
  readonly texts: readonly string[];
}

type JsonSchema = z.core.JSONSchema.JSONSchema;

const schemaFiles = ["options/generate-options.ts", "options/load-options.ts"];
/** An engine may be used without the pipeline, and looks at its own options. */
const checkedTwice = ["engine/ort/ort-engine.ts: threads < 1"];
const sources = readSources("src");

const facts: readonly OptionFacts[] = [
  ...(Object.keys(generateSchema.shape) as OptionName[]).map((name) => {
    const { help, otherwise } = presentationOf(name);
    const range = expectationOf(name);
    const defaults: Readonly<Partial<Record<OptionName, unknown>>> = generateDefaults;
    return {
      ...ofSchema(name, generateSchema.shape[name].unwrap()),
      defaults: [...asCode(defaults[name]), ...asCode(wordOrNumber(otherwise))],
      texts: [help, ...inHelp(otherwise), ...(/\d to \d/.test(range) ? [range] : [])],
    };
  }),
  ...Object.entries({ ...loadSchema.shape, ...loadSchema.shape.hub.unwrap().shape }).map(([name, schema]) => {
    const presentation = loadPresentations().get(name);
    const defaults: Readonly<Record<string, unknown>> = loadDefaults;
    return {
      ...ofSchema(name, schema.unwrap()),
      defaults: [...asCode(defaults[name]), ...asCode(wordOrNumber(presentation?.otherwise))],
      texts: presentation ? [presentation.help, ...inHelp(presentation.otherwise)] : [],
    };
  }),
  ...Object.entries(loadImageDefaults).map(([name, value]) => ({
    name,
    choices: name === "colorProfile" ? [colorProfiles] : [],
    lowest: [],
    highest: [],
    defaults: asCode(value),
    texts: [],
  })),
];

function ofSchema(name: string, schema: z.ZodType): Pick<OptionFacts, "name" | "choices" | "lowest" | "highest"> {
  const parts = partsOf(z.toJSONSchema(schema, { unrepresentable: "any" }) as JsonSchema);
  const numbers = (key: "minimum" | "maximum") => parts.flatMap((part) => part[key] ?? []).filter(Number.isSafeInteger);
  const choices = parts.flatMap((part) => (part.enum ? [part.enum.map(String)] : []));
  return { name, choices, lowest: numbers("minimum"), highest: numbers("maximum") };
}

/** A schema, and those of its kinds and of its items. */
function partsOf(schema: JsonSchema): JsonSchema[] {
  const inner = [...(schema.anyOf ?? []), ...(schema.prefixItems ?? []), ...(schema.items ? [schema.items] : [])];
  return [schema, ...inner.flatMap((part) => (typeof part === "object" ? partsOf(part as JsonSchema) : []))];
}

function asCode(value: unknown): string[] {
  return value === undefined ? [] : [JSON.stringify(value)];
}

/** What else holds is a value only where it is no phrase. */
function wordOrNumber(otherwise: string | undefined): number | string | undefined {
  if (otherwise === undefined || otherwise.includes(" ")) return undefined;
  return Number.isNaN(Number(otherwise)) ? otherwise : Number(otherwise);
}

/** As help says it. A number alone may be that of another option. */
function inHelp(otherwise: string | undefined): string[] {
  return otherwise === undefined || /^\d+$/.test(otherwise) ? [] : [`(default: ${otherwise})`];
}

/** What is written a second time, as `file:line: what`. */
function secondCopies(sources: Sources): string[] {
  const code = Object.entries(sources).map(([file, text]) => ({ file, text: withJoinedTexts(text) }));
  const outside = code.filter(({ file }) => !schemaFiles.includes(file));
  const found = facts.flatMap(({ name, choices, lowest, highest, defaults, texts }) => [
    ...choices.flatMap((list) => {
      const places = code.flatMap((source) => placesOf(source, list));
      return places.length > 1 ? places.map((place) => `${place}: ${list.join(", ")}`) : [];
    }),
    ...outside.flatMap((source) => [
      ...defaults.flatMap((value) => matches(source, `\\b${name}\\s*(\\?\\?|=)\\s*${escaped(value)}(?![\\w.])`)),
      ...highest.flatMap((limit) => matches(source, `\\b${name}\\s*(>|<=)\\s*${limit}(?![\\w.])`)),
      ...lowest.flatMap((limit) => matches(source, `\\b${name}\\s*(<|>=)\\s*${limit}(?![\\w.])`)),
      ...texts.flatMap((text) => matches(source, escaped(text))),
    ]),
  ]);
  return [...new Set(found)].filter((place) => !checkedTwice.includes(place.replace(/:\d+/, ""))).sort();
}

/** Where all of a list's choices stand side by side, in any order: as a list, a type or a text. */
function placesOf({ file, text }: { file: string; text: string }, list: readonly string[]): string[] {
  const one = `["'\`]?\\b(${list.map(escaped).join("|")})\\b["'\`]?`;
  const between = "\\s*(?:,|\\||/|\\bor\\b|\\band\\b|, or)\\s*";
  const run = new RegExp(one + `${between}${one}`.repeat(list.length - 1), "g");
  return [...text.matchAll(run)]
    .filter(([, ...choices]) => new Set(choices).size === list.length)
    .map(({ index }) => `${file}:${lineOf(text, index)}`);
}

function matches({ file, text }: { file: string; text: string }, pattern: string): string[] {
  const found = [...text.matchAll(new RegExp(pattern, "g"))];
  return found.map(({ 0: what, index }) => `${file}:${lineOf(text, index)}: ${what}`);
}

function lineOf(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

it("knows the options", () => {
  expect(facts.length).toBeGreaterThan(30);
  expect(facts.filter(({ choices }) => choices.length > 0).length).toBeGreaterThan(6);
  expect(facts.filter(({ defaults }) => defaults.length > 0).length).toBeGreaterThan(12);
  expect(facts.find(({ name }) => name === "width")).toMatchObject({ lowest: [16], highest: [8192] });
});

it("nothing of an option is written twice", () => {
  expect(secondCopies(sources)).toEqual([]);
});

it.each([
  ["a list of choices", 'const modes = ["reference", "exact"];'],
  ["a type of choices", 'type Mode = "exact" | "reference";'],
  ["choices in a text", "const text = `expected exact or reference`;"],
  ["a default beside a value", "const id = settings.motionBucketId ?? 127;"],
  ["a default of a parameter", 'const { fit = "stretch" } = settings;'],
  ["a default that the schema has in words", "const { sNoise = 1 } = settings;"],
  ["a limit", "if (numFrames > 1024) throw new Error();"],
  ["a range in words", 'const text = "expected a whole number from 1 to 1024";'],
  ["a help text", `const help = "${presentationOf("motionBucketId").help.replace(": ", ': " + "')}";`],
])("%s that is written again is found", (_, code) => {
  const [file] = schemaFiles as [string];
  const planted = (text: string) => secondCopies({ [file]: sources[file]!, "cli/planted.ts": text }).join("\n");
  expect(planted(`\n${code}`)).toContain("cli/planted.ts:2");
  expect(planted(`// ${code}\n/* ${code} */`)).not.toContain("cli/planted.ts");
});
