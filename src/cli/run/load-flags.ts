/** Which flags say how a model is loaded, on what machine it runs, and how pictures are read? By the library's names. */
import { Option } from "commander";
import { backgroundWords } from "../../image/background.ts";
import { dtypes, weightStorages } from "../../lowering/cpu/dtypes.ts";
import { colorProfiles } from "../../node/image/open-picture.ts";
import { prices } from "../../options/generate-options.ts";
import { pictureOptions } from "../generate/picture-notes.ts";

/** As commander takes it, and its help. */
type LoadFlag = readonly [flag: string, help: string];

/** Options of `fromPretrained` and its `hub`, and the `maxMemory` of a call. */
export const modelFlags = {
  variant: ["--variant <name>", "read *.NAME.safetensors where there are several, e.g. fp16"],
  preset: ["--preset <name>", "settings where none are given: official or diffusers (default: official, if known)"],
  unet: ["--unet <file>", "take the UNet from this .safetensors file, e.g. AnimateLCM's"],
  loras: [
    "--lora <path[:strength]>",
    "add a LoRA to the model, a file or the folder that PEFT wrote, e.g. pan-left.safetensors:0.8; may be given several times",
  ],
  revision: ["--revision <name>", "of a model of the hub: a branch, a tag or a commit (default: main)"],
  localFilesOnly: ["--local-files-only", "download no model; use what is in the cache"],
  dtype: [
    "--dtype <type>",
    `arithmetic of the UNet: ${dtypes.join(", ")}; int8 takes less memory; price: ${prices.int8} ` +
      "(default: auto, which is fp32)",
  ],
  weightStorage: [
    "--weight-storage <format>",
    `what the UNet's weights are in memory: ${weightStorages.join(", ")}; stored: mapped from their files; fp32: the same clip, ` +
      `faster steps, twice the memory of fp16; int8: half of fp16, ${prices.int8Weights} ` +
      "(default: auto, which is stored, or int8 with --dtype int8)",
  ],
  device: ["--device <name>", "auto or cpu (default: auto, which is cpu)"],
  offload: [
    "--offload <when>",
    "model: a network is in memory only while it runs; none: it stays loaded to the end (default: model)",
  ],
  maxMemory: [
    "--memory <size>",
    "the most that the process may hold, e.g. 8GB: where the clip would take more, --decode-chunk-size is chosen, unless " +
      "given, so that it does not; the picture stays the same (default: what is free)",
  ],
  threads: ["--threads <n>", "threads for one operator (default: as many as the machine runs at once)"],
  scratchFolder: [
    "--scratch-folder <folder>",
    "for what decoding sets aside (default: the system's folder for temporary files)",
  ],
} as const satisfies Readonly<Record<string, LoadFlag>>;

/** Options of `loadImage`. */
export const pictureFlags = {
  background: [
    "--background <colour>",
    `what transparent pixels are put over: ${backgroundWords}; none: the colours that they hide show ` +
      `(default: ${pictureOptions.background})`,
  ],
  colorProfile: [
    "--color-profile <use>",
    `${colorProfiles.join(" or ")}; srgb: a picture in other colours, such as Display P3, is brought to sRGB; ignore: its ` +
      `values are taken as they are (default: ${pictureOptions.colorProfile})`,
  ],
  maxPixels: ["--max-pixels <n>", "width times height that is decoded at most (default: 50 million)"],
  maxBytes: ["--max-bytes <n>", "bytes that are read or downloaded at most (default: 50 million)"],
  timeoutMs: ["--timeout-ms <n>", "milliseconds for a download (default: 30000)"],
} as const satisfies Readonly<Record<string, LoadFlag>>;

export function toLoadFlag([flag, help]: LoadFlag): Option {
  return new Option(flag, help);
}

/** `--max-pixels` for `maxPixels`; undefined for a name that no such flag stands for. */
export function loadFlagOf(name: string): string | undefined {
  const all: Readonly<Record<string, LoadFlag>> = { ...modelFlags, ...pictureFlags };
  return Object.hasOwn(all, name) ? toLoadFlag(all[name]!).long : undefined;
}
