/** How do the options of a generation look in JSON? A form that keeps seeds of 64 bits, the way back, and a JSON Schema of it. */
import { z } from "zod";
import { inCall, message, option, StillmotionError } from "../errors.ts";
import { exactInteger, integerFromJson, integerPattern, integerToJson } from "../json/json-integers.ts";
import type { JsonObject } from "../weights/types.ts";
import {
  type GenerateSettings,
  generateDefaults,
  generateSchema,
  type OptionName,
  presentationOf,
} from "./generate-options.ts";
import { camelCaseKeys, parseSettings, show } from "./parse-settings.ts";

/** A seed in JSON: a number, or its decimal digits as a string where a number would not be exact. */
export type JsonSeed = number | string;

/** The options in JSON. A tensor of `latents` has no such form. */
export type SettingsJson = Omit<GenerateSettings, "seed" | "latents"> & {
  seed?: JsonSeed | JsonSeed[] | undefined;
};

/**
 * Options as what JSON can hold. `settingsFromJson` gives them back as they were, but for a bigint that a number holds as
 * exactly: it comes back as that number, which is the same seed.
 *
 * @throws StillmotionError `invalid-option` for what `generate` would refuse, and for `latents`: keep the tensor in a file
 * @example
 * await writeFile("settings.json", JSON.stringify(settingsToJson(settings)));
 */
export function settingsToJson(settings: GenerateSettings): SettingsJson {
  const { seed, latents, ...others } = parseSettings("settingsToJson", settings);
  if (latents !== undefined) throw noJsonForm("settingsToJson");
  if (seed === undefined) return others;
  const toJson = (each: number | bigint): JsonSeed => integerToJson(BigInt(each));
  return { ...others, seed: Array.isArray(seed) ? seed.map(toJson) : toJson(seed) };
}

/**
 * Options from JSON, e.g. the body of a request: checked as `generate` checks them, names in either spelling, null for what
 * is not given. A seed may be a number or a string of decimal digits.
 *
 * @throws StillmotionError `invalid-option`, naming the option, what was got and what was expected
 * @example
 * const settings = settingsFromJson(JSON.parse(await readFile("settings.json", "utf8")));
 */
export function settingsFromJson(json: unknown): GenerateSettings {
  const call = "settingsFromJson";
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new StillmotionError(
      "invalid-option",
      message`${inCall(call)}got ${show(json)}, expected an object of options`,
    );
  }
  const { seed, ...others } = camelCaseKeys(call, json as JsonObject);
  if ("latents" in others) throw noJsonForm(call);
  return parseSettings(call, { ...others, seed: Array.isArray(seed) ? seed.map(seedFromJson) : seedFromJson(seed) });
}

/**
 * The options among the settings of a clip's file, to make the same clip again. What else the command stores there (model,
 * preset, versions ...) tells where the clip comes from, and is no option of `generate`.
 *
 * @param stored `settings` of `readClipMetadata`, or of what `stillmotion inspect --json` prints
 * @example
 * const { settings = {} } = await readClipMetadata("clip.mp4");
 * const { frames } = await pipe.generate(image, settingsOfClip(settings));
 */
export function settingsOfClip(stored: JsonObject): GenerateSettings {
  const isOption = (name: string) => Object.hasOwn(generateSchema.shape, name);
  return settingsFromJson(Object.fromEntries(Object.entries(stored).filter(([name]) => isOption(name))));
}

/**
 * What `settingsFromJson` takes, as JSON Schema (draft 2020-12) for forms, requests and tools: names, limits, help and
 * defaults. It describes one spelling, without null.
 */
export function generateJsonSchema(): JsonObject {
  const { properties, ...schema } = z.toJSONSchema(generateSchema.omit({ latents: true }), {
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      if (!(zodSchema instanceof z.ZodBigInt)) return;
      const { minValue, maxValue } = zodSchema;
      if (minValue === null || maxValue === null) return; // the type before its limits, which has a turn of its own
      Object.assign(jsonSchema, { type: "string", pattern: integerPattern(minValue, maxValue) });
    },
  });
  const names = Object.keys(properties!) as OptionName[];
  return {
    ...schema,
    title: "Settings of a clip",
    description: "None is required: the checkpoint's own settings come before the defaults.",
    properties: Object.fromEntries(
      names.map((name) => [name, { ...described(name), ...(properties![name] as object) }]),
    ),
  };
}

function described(name: OptionName): JsonObject {
  const { help, otherwise } = presentationOf(name);
  const defaults: GenerateSettings = generateDefaults;
  if (defaults[name] !== undefined) return { description: help, default: defaults[name] };
  return { description: otherwise === undefined ? help : `${help} (default: ${otherwise})` };
}

/** Other text stays, so that `parseSettings` says what was got. */
function seedFromJson(seed: unknown): unknown {
  if (typeof seed === "bigint") return exactInteger(seed);
  return typeof seed === "string" ? (integerFromJson(seed) ?? seed) : seed;
}

function noJsonForm(call: string): StillmotionError {
  const mend = "leave it out, and give the tensor to generate itself";
  return new StillmotionError("invalid-option", message`${inCall(call)}${option("latents")} has no JSON form; ${mend}`);
}
