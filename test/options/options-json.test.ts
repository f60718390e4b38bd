/** Do options come back from JSON as they went, and does the JSON Schema take what is taken and refuse what is refused? */
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { exactInteger } from "../../src/json/json-integers.ts";
import { type GenerateSettings, generateDefaults, generateSchema } from "../../src/options/generate-options.ts";
import {
  generateJsonSchema,
  settingsFromJson,
  settingsOfClip,
  settingsToJson,
} from "../../src/options/options-json.ts";
import { parseSettings } from "../../src/options/parse-settings.ts";
import { floatTensor } from "../../src/tensor.ts";
import { settingsFromText, settingsToText } from "../../src/video/metadata.ts";

type Schema = z.core.JSONSchema.BaseSchema;

const [leastSeed, mostSeed] = [-(2n ** 63n), 2n ** 64n - 1n];

/** Of each option that JSON can hold, what zod's own words about its values are. A bigint is `{}` there. */
const shape = Object.entries(generateSchema.shape)
  .filter(([name]) => name !== "latents")
  .map(([name, option]) => [name, z.toJSONSchema(option.unwrap(), { unrepresentable: "any" })] as const);

/** Any value that an option takes. */
function anyValueOf(schema: Schema): fc.Arbitrary<unknown> {
  const { type, anyOf, prefixItems, minimum: min, maximum: max, multipleOf: step = 1 } = schema;
  if (anyOf) return fc.oneof(...anyOf.map((each) => anyValueOf(each as Schema)));
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (prefixItems) return fc.tuple(...prefixItems.map((each) => anyValueOf(each as Schema)));
  if (type === "array")
    return fc.array(anyValueOf(schema.items as Schema), { minLength: schema.minItems!, maxLength: 4 });
  if (type === "integer") return fc.integer({ min: min! / step, max: max! / step }).map((count) => count * step);
  if (type === "number") return fc.double({ min: min!, max: max ?? Number.MAX_VALUE, noNaN: true });
  return fc.oneof(
    fc.bigInt(leastSeed, mostSeed),
    fc.bigInt(-10n, 10n),
    fc.constantFrom(leastSeed, mostSeed, 2n ** 53n),
  );
}

const anySettings = fc.record(Object.fromEntries(shape.map(([name, schema]) => [name, anyValueOf(schema)])), {
  requiredKeys: [],
}) as fc.Arbitrary<GenerateSettings>;

/** A number wherever one is as exact; JSON knows no negative zero. */
function canonical(value: unknown): unknown {
  if (typeof value === "bigint") return exactInteger(value);
  if (value === 0) return 0;
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, canonical(each)]));
}

describe("settings in JSON", () => {
  it("come back as they were, whatever they are", () => {
    fc.assert(
      fc.property(anySettings, (settings) => {
        const json = JSON.stringify(settingsToJson(settings));
        expect(settingsFromJson(JSON.parse(json))).toStrictEqual(canonical(settings));
        expect(JSON.stringify(settingsToJson(settingsFromJson(JSON.parse(json))))).toBe(json);
      }),
      { numRuns: 1000 },
    );
  });

  it("come back out of a clip's file, from among what else is stored there", () => {
    const stored = { model: "svd", preset: "diffusers", dtype: "fp32", stillmotionVersion: "0.1.0", clip: 1, clips: 2 };
    fc.assert(
      fc.property(anySettings, (settings) => {
        for (const written of [settings, settingsToJson(settings)]) {
          const text = settingsToText({ ...written, ...stored }, 7, 14);
          expect(settingsOfClip(settingsFromText(text)!.settings)).toStrictEqual(canonical(settings));
        }
      }),
    );
  });

  it.each([
    [{ seed: 42 }, '{"seed":42}', { seed: 42 }],
    [{ seed: 42n }, '{"seed":42}', { seed: 42 }],
    [{ seed: 2n ** 53n }, '{"seed":"9007199254740992"}', { seed: 2n ** 53n }],
    [{ seed: [leastSeed, -1, mostSeed] }, undefined, { seed: [leastSeed, -1, mostSeed] }],
    [{ fps: undefined, numFrames: 2 }, '{"numFrames":2}', { numFrames: 2 }],
  ])("%o", (settings, json, back) => {
    const written = JSON.stringify(settingsToJson(settings));
    if (json !== undefined) expect(written).toBe(json);
    expect(settingsFromJson(JSON.parse(written))).toStrictEqual(back);
  });

  it("may have Python's names, null, and small seeds as digits", () => {
    const given = { num_frames: 14, fps: null, seed: ["7", "18446744073709551615", 3] };
    expect(settingsFromJson(given)).toStrictEqual({ numFrames: 14, seed: [7, mostSeed, 3] });
  });

  const seedExpected =
    "expected a whole number from -2^63 to 2^64-1 or a list of 1 or more, each a whole number from -2^63 to 2^64-1";
  it.each([
    [{ seed: "18446744073709551616" }, `seed is 18446744073709551616n, ${seedExpected}`],
    [{ seed: ["1", "-9223372036854775809"] }, `seed is [1,-9223372036854775809n], ${seedExpected}`],
    [{ seed: "007" }, `seed is "007", ${seedExpected}`],
    [{ seed: "1.5" }, `seed is "1.5", ${seedExpected}`],
    [
      { seed: 2 ** 60 },
      `seed is 1152921504606847000, ${seedExpected}; beyond 2^53 a number is not exact: give a bigint, or in JSON its digits as a string`,
    ],
    [{ num_frames: 0 }, "numFrames is 0, expected a whole number from 1 to 1024"],
    [{ numFrames: "14" }, 'numFrames is "14", expected a whole number from 1 to 1024'],
    [{ fps: 7, model: "svd" }, "model is not an option; the options are width, height"],
    [{ num_frames: 1, numFrames: 2 }, "numFrames is given twice, in two spellings; keep one"],
    [{ latents: {} }, "latents has no JSON form; leave it out, and give the tensor to generate itself"],
    [[], "got [], expected an object of options"],
    [null, "got null, expected an object of options"],
  ])("%j is refused", (json, problem) => {
    const { message } = thrownBy(() => settingsFromJson(json));
    expect(message.slice(0, `settingsFromJson: ${problem}`.length)).toBe(`settingsFromJson: ${problem}`);
  });

  it("refuse what they cannot hold, and what generate would refuse", () => {
    expect(thrownBy(() => settingsToJson({ latents: floatTensor([1]) }))).toMatchObject({
      code: "invalid-option",
      option: "latents",
    });
    expect(thrownBy(() => settingsToJson({ width: 7 })).message).toMatch(/^settingsToJson: width is 7, expected/);
  });

  it("show a bigint in a list that is refused everywhere", () => {
    expect(thrownBy(() => parseSettings("generate", { seed: [2n ** 64n] })).message).toContain(
      "seed is [18446744073709551616n], expected",
    );
  });
});

describe("the JSON Schema", () => {
  const schema = generateJsonSchema();
  const properties = schema.properties as Readonly<Record<string, Record<string, unknown>>>;
  const isValid = new Ajv2020({ strict: true, allowUnionTypes: false }).compile(schema);
  const isTaken = (json: unknown) => {
    try {
      settingsFromJson(json);
      return true;
    } catch {
      return false;
    }
  };

  it("has each option but the tensor, with its help, and the defaults", () => {
    expect(schema).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      additionalProperties: false,
    });
    expect(Object.keys(properties)).toEqual(shape.map(([name]) => name));
    for (const { description } of Object.values(properties)) expect(description).toMatch(/^\w/);
    const defaults = Object.entries(properties).filter(([, each]) => "default" in each);
    expect(Object.fromEntries(defaults.map(([name, each]) => [name, each.default]))).toEqual(generateDefaults);
    expect(isTaken(generateDefaults) && isValid(generateDefaults)).toBe(true);
  });

  it("is JSON, a new object each time", () => {
    expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
    expect(generateJsonSchema()).not.toBe(schema);
  });

  it("takes what settings become", () => {
    fc.assert(
      fc.property(anySettings, (settings) => {
        expect(isValid(JSON.parse(JSON.stringify(settingsToJson(settings)))), JSON.stringify(isValid.errors)).toBe(
          true,
        );
      }),
      { numRuns: 1000 },
    );
  });

  const limits = numbersIn(shape.map(([, each]) => each));
  const near = limits.flatMap((limit) => [limit - 8, limit - 1, limit - 0.5, limit, limit + 0.5, limit + 1, limit + 8]);
  const words = [
    "",
    "0",
    "-0",
    "-1",
    "007",
    "01234567890123456789",
    "-0123456789012345678",
    "+5",
    " 5",
    "5\n",
    "1e3",
    "1.0",
    "wrong",
    ...wordsIn(shape.map(([, each]) => each)),
  ];
  const digits = [leastSeed, -(2n ** 53n), 2n ** 53n, 10n ** 19n, mostSeed].flatMap((limit) =>
    [-10n, -1n, 0n, 1n, 10n].map((more) => (limit + more).toString()),
  );
  const scalars = [...new Set<unknown>([...near, ...words, ...digits, 1e-300, 1e300, true, {}])];
  const lists = [[], [1], [1, 2], [1, 2, 3], [1, -1], [-1, 1], [1, "2"], ["1", "2"], [[1], [2]], [1, null], [0.5, 0.5]];
  const longLists = [999, 1000, 1001].map((length) => Array.from({ length }, (_, index) => index));

  it.each(shape.map(([name]) => name))("takes and refuses for %s what settingsFromJson does", (name) => {
    for (const value of [...scalars, ...lists, ...longLists]) {
      const json = { [name]: value };
      expect(isValid(json), `${JSON.stringify(json).slice(0, 80)} is taken: ${isTaken(json)}`).toBe(isTaken(json));
    }
  });

  it("takes and refuses what settingsFromJson does, of anything", () => {
    const number = fc.oneof(
      fc.constantFrom(...near),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    );
    const text = fc.oneof(
      fc.constantFrom(...words, ...digits),
      fc.bigInt(2n * leastSeed, 2n * mostSeed).map(String),
      fc.string(),
    );
    const value = fc.oneof(number, text, fc.array(fc.oneof(number, text), { maxLength: 4 }), fc.boolean(), fc.object());
    const name = fc.constantFrom(...shape.map(([each]) => each), "steps", "latents");
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 2 }), (given) => {
        const json = JSON.parse(JSON.stringify(given));
        expect(isValid(json), JSON.stringify(json)).toBe(isTaken(json));
      }),
      { numRuns: 3000 },
    );
  });
});

function thrownBy(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

/** Every number in the schemas: limits, steps and lengths. */
function numbersIn(value: unknown): number[] {
  if (typeof value === "number") return [value];
  return typeof value === "object" && value !== null ? [...new Set(Object.values(value).flatMap(numbersIn))] : [];
}

function wordsIn(schemas: readonly Schema[]): unknown[] {
  return schemas.flatMap(({ anyOf, enum: choices = [] }) => [...choices, ...wordsIn((anyOf ?? []) as Schema[])]);
}
