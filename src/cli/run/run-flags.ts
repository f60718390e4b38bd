/** Which flags do `generate` and `plan` share, and which run do they stand for? */
import { existsSync } from "node:fs";
import type { Command, OptionValues } from "commander";
import { loadSchema } from "../../options/load-options.ts";
import { loraFromText } from "../../options/loras.ts";
import { numberFromText } from "../../options/option-text.ts";
import { hubOptions } from "../models/resolve.ts";
import { builtInCheckpoint } from "../package-files.ts";
import { modelFlags, pictureFlags, toLoadFlag } from "./load-flags.ts";
import type { RunRequest } from "./open-run.ts";
import { settingFlags, settingsFromFlags } from "./setting-flags.ts";

/** Behind the flags that the command has of its own. */
export function withRunFlags(command: Command): Command {
  for (const flag of settingFlags()) command.addOption(flag);
  command
    .optionsGroup("Model and machine:")
    .option(
      "--model <name>",
      "a checkpoint's path, or a model of the hub, downloaded when first used: svd, svd-xt, svd-xt-1.1 or org/name " +
        "(default: the small checkpoint that comes with stillmotion)",
    );
  for (const presentation of modelFlags().values()) {
    const flag = toLoadFlag(presentation);
    command.addOption(presentation.isRepeated ? flag.argParser(collect) : flag);
  }
  command.optionsGroup("Pictures:");
  for (const flag of Object.values(pictureFlags)) command.addOption(toLoadFlag(flag));
  return command;
}

export function runFromFlags(
  images: readonly string[],
  flags: OptionValues,
  { signal, onProgress }: Pick<Parameters<typeof hubOptions>[0] & object, "onProgress"> & { signal: AbortSignal },
): Omit<RunRequest, "reporter" | "reserve"> {
  const { revision, localFilesOnly } = flags;
  return {
    images,
    outputs: flags.output ?? [],
    settings: settingsFromFlags(flags),
    model: flags.model ?? builtInCheckpoint(),
    maxMemory: flags.memory,
    pipelineOptions: {
      hub: hubOptions({ revision, localFilesOnly, signal, onProgress }),
      ...given(flags, Object.keys(loadSchema.shape)),
      ...numbers(flags, ["threads"]),
      ...library(),
      loras: flags.lora?.map((text: string) => loraFromText(text, existsSync)),
    },
    imageOptions: {
      ...given(flags, ["background", "colorProfile"]),
      ...numbers(flags, ["maxPixels", "maxBytes", "timeoutMs"]),
    },
    signal,
  };
}

export function collect(value: string, earlier: readonly string[] = []): string[] {
  return [...earlier, value];
}

function given(flags: OptionValues, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (flags[name] === undefined ? [] : [[name, flags[name]]])));
}

/** Flags as numbers. Text that is no number stays text, so that the library says what it expected. */
function numbers(flags: OptionValues, names: readonly string[]): Record<string, number> {
  const texts = Object.entries(given(flags, names));
  return Object.fromEntries(texts.map(([name, text]) => [name, numberFromText(text) as number]));
}

function library(): { libraryPath?: string } {
  return process.env.ORT_LIBRARY ? { libraryPath: process.env.ORT_LIBRARY } : {};
}
