/** Which flags do the commands share that make clips or plan them, and which run do they stand for? */
import type { Command, OptionValues } from "commander";
import { backgroundWords } from "../image/background.ts";
import { colorProfiles } from "../image/open-picture.ts";
import { dtypes, weightStorages } from "../pipeline/dtypes.ts";
import { loraFromText } from "../pipeline/loras.ts";
import { numberFromText } from "../pipeline/option-text.ts";
import { prices } from "../pipeline/options.ts";
import { hubOptions } from "./models-resolve.ts";
import type { RunRequest } from "./open-run.ts";
import { builtInCheckpoint } from "./package-files.ts";
import { pictureOptions } from "./picture-notes.ts";
import { settingFlags, settingsFromFlags } from "./setting-flags.ts";

/** Behind the flags that the command has of its own. */
export function withRunFlags(command: Command): Command {
  for (const flag of settingFlags()) command.addOption(flag);
  return command
    .optionsGroup("Model and machine:")
    .option(
      "--model <name>",
      "a checkpoint's path, or a model of the hub, downloaded when first used: svd, svd-xt, svd-xt-1.1 or org/name " +
        "(default: the small checkpoint that comes with stillmotion)",
    )
    .option("--variant <name>", "read *.NAME.safetensors where there are several, e.g. fp16")
    .option("--preset <name>", "settings where none are given: official or diffusers (default: official, if known)")
    .option("--unet <file>", "take the UNet from this .safetensors file, e.g. AnimateLCM's")
    .option(
      "--lora <file[:strength]>",
      "add a LoRA to the model, e.g. pan-left.safetensors:0.8; may be given several times",
      collect,
    )
    .option("--revision <name>", "of a model of the hub: a branch, a tag or a commit (default: main)")
    .option("--local-files-only", "download no model; use what is in the cache")
    .option(
      "--dtype <type>",
      `arithmetic of the UNet: ${dtypes.join(", ")}; int8 takes less memory; price: ${prices.int8} ` +
        "(default: auto, which is fp32)",
    )
    .option(
      "--weight-storage <format>",
      `what the UNet's weights are in memory: ${weightStorages.join(", ")}; stored: mapped from their files; fp32: the same clip, ` +
        `faster steps, twice the memory of fp16; int8: half of fp16, ${prices.int8Weights} ` +
        "(default: auto, which is stored, or int8 with --dtype int8)",
    )
    .option("--device <name>", "auto or cpu (default: auto, which is cpu)")
    .option(
      "--offload <when>",
      "model: a network is in memory only while it runs; none: it stays loaded to the end (default: model)",
    )
    .option(
      "--memory <size>",
      "the most that the process may hold, e.g. 8GB: where the clip would take more, --decode-chunk-size is chosen, unless " +
        "given, so that it does not; the picture stays the same (default: what is free)",
    )
    .option("--threads <n>", "threads for one operator (default: as many as the machine runs at once)")
    .option(
      "--scratch-folder <folder>",
      "for what decoding sets aside (default: the system's folder for temporary files)",
    )
    .optionsGroup("Pictures:")
    .option(
      "--background <colour>",
      `what transparent pixels are put over: ${backgroundWords}; none: the colours that they hide show ` +
        `(default: ${pictureOptions.background})`,
    )
    .option(
      "--color-profile <use>",
      `${colorProfiles.join(" or ")}; srgb: a picture in other colours, such as Display P3, is brought to sRGB; ignore: its ` +
        "values are taken as they are " +
        `(default: ${pictureOptions.colorProfile})`,
    )
    .option("--max-pixels <n>", "width times height that is decoded at most (default: 50 million)")
    .option("--max-bytes <n>", "bytes that are read or downloaded at most (default: 50 million)")
    .option("--timeout-ms <n>", "milliseconds for a download (default: 30000)");
}

export function runFromFlags(
  images: readonly string[],
  flags: OptionValues,
  { signal, onProgress }: Pick<Parameters<typeof hubOptions>[0] & object, "onProgress"> & { signal: AbortSignal },
): Omit<RunRequest, "reporter"> {
  const { revision, localFilesOnly } = flags;
  return {
    images,
    outputs: flags.output ?? [],
    settings: settingsFromFlags(flags),
    model: flags.model ?? builtInCheckpoint(),
    maxMemory: flags.memory,
    pipelineOptions: {
      hub: hubOptions({ revision, localFilesOnly, signal, onProgress }),
      ...given(flags, ["variant", "dtype", "weightStorage", "device", "offload", "unet", "preset", "scratchFolder"]),
      ...numbers(flags, ["threads"]),
      ...library(),
      loras: flags.lora?.map(loraFromText),
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

/** What is no number stays text; the library says what it expected. */
function numbers(flags: OptionValues, names: readonly string[]): Record<string, number> {
  const texts = Object.entries(given(flags, names));
  return Object.fromEntries(texts.map(([name, text]) => [name, numberFromText(text) as number]));
}

function library(): { libraryPath?: string } {
  return process.env.ORT_LIBRARY ? { libraryPath: process.env.ORT_LIBRARY } : {};
}
