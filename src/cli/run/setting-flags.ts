/** Which flags shape a clip? One for each option of the pipeline's schema, with its limits, default and help. */
import { Option, type OptionValues } from "commander";
import {
  generateDefaults,
  generateSchema,
  type OptionGroup,
  type OptionName,
  presentationOf,
} from "../../options/generate-options.ts";
import { expectationOf, valueFromText } from "../../options/option-text.ts";
import { fitRule } from "../generate/choose-fit.ts";

const groupTitles: Readonly<Record<OptionGroup, string>> = {
  clip: "Clip:",
  motion: "Motion and guidance:",
  sampling: "Sampling:",
};

/** The one option whose value is read from a file; see `readLatents`. */
const fromFile: OptionName = "latents";

/** The flags in the order of the schema, one group after the other. */
export function settingFlags(): Option[] {
  const groups = Object.keys(groupTitles) as OptionGroup[];
  return groups.flatMap((group) =>
    optionNames()
      .filter((name) => presentationOf(name).group === group)
      .map(toFlag),
  );
}

/** The values given on the command line, by the names of the pipeline's options. Latents are still the path of a file. */
export function settingsFromFlags(values: OptionValues): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const name of optionNames()) {
    const text = values[toFlag(name).attributeName()];
    if (text !== undefined) settings[name] = name === fromFile ? text : valueFromText(name, text);
  }
  return settings;
}

/** Settings as they would be given, such as `--steps 25`. Those without a flag or a value are left out. */
export function flagsOfSettings(settings: Partial<Record<OptionName, unknown>>): string[] {
  return optionNames().flatMap((name) => {
    const value = settings[name];
    return value === undefined || name === fromFile ? [] : [`--${presentationOf(name).flag} ${value}`];
  });
}

/** `--steps` for `numInferenceSteps`; undefined for a name that no such flag stands for. */
export function settingFlagOf(name: string): string | undefined {
  const known = optionNames().find((each) => each === name);
  return known && `--${presentationOf(known).flag}`;
}

function optionNames(): OptionName[] {
  const names = Object.keys(generateSchema.shape) as OptionName[];
  return names.filter((name) => presentationOf(name).flag !== undefined);
}

function toFlag(name: OptionName): Option {
  const { flag, value, help, group, otherwise } = presentationOf(name);
  const defaults: Partial<Record<OptionName, unknown>> = { ...generateDefaults, fit: fitRule };
  const limits = name === fromFile ? [] : [expectationOf(name)];
  const details = [...limits, `default: ${defaults[name] ?? otherwise}`].join("; ");
  return new Option(`--${flag} <${value}>`, `${help} (${details})`).helpGroup(groupTitles[group]);
}
