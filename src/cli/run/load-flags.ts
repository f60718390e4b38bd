/** Which flags say how a model is loaded, how it runs, and how pictures are read? A table by the library's names. */
import { Option } from "commander";
import { backgroundWords } from "../../image/background.ts";
import { devices } from "../../node/devices/device-table.ts";
import { colorProfiles, loadImageDefaults } from "../../node/image/open-picture.ts";
import { type LoadPresentation, loadDefaults, loadPresentations } from "../../options/load-options.ts";
import { pictureOptions } from "../generate/picture-notes.ts";

/** The flag as commander takes it, and its help. */
export function modelFlags(): ReadonlyMap<string, LoadPresentation> {
  const options = loadPresentations();
  const { device, offload, threads, scratchFolder, ...others } = Object.fromEntries(options);
  const names = Object.keys(devices);
  return new Map(
    Object.entries({
      ...others,
      device: {
        ...device!,
        help: `${device!.help}: ${[loadDefaults.device, ...names].join(", ")}`,
        otherwise: `${loadDefaults.device}, which is ${names[0]}`,
      },
      offload: offload!,
      maxMemory: {
        flag: "--memory <size>",
        help:
          "the most that the process may hold, e.g. 8GB: a --decode-chunk-size is chosen with which the clip fits, unless one is " +
          "given; the picture stays the same",
        otherwise: "what is free",
      },
      threads: threads!,
      scratchFolder: scratchFolder!,
    }),
  );
}

/** Options of `loadImage`. */
export const pictureFlags = {
  background: {
    flag: "--background <colour>",
    help: `what transparent pixels are put over: ${backgroundWords}; none: the colours that they hide show`,
    otherwise: pictureOptions.background,
  },
  colorProfile: {
    flag: "--color-profile <use>",
    help:
      `${colorProfiles.join(" or ")}; srgb: a picture in other colours, such as Display P3, is brought to sRGB; ` +
      "ignore: its values are taken as they are",
    otherwise: pictureOptions.colorProfile,
  },
  maxPixels: {
    flag: "--max-pixels <n>",
    help: "width times height that is decoded at most",
    otherwise: `${loadImageDefaults.maxPixels / 1e6} million`,
  },
  maxBytes: {
    flag: "--max-bytes <n>",
    help: "bytes that are read or downloaded at most",
    otherwise: `${loadImageDefaults.maxBytes / 1e6} million`,
  },
  timeoutMs: {
    flag: "--timeout-ms <n>",
    help: "milliseconds for a download",
    otherwise: String(loadImageDefaults.timeoutMs),
  },
} as const satisfies Readonly<Record<string, LoadPresentation>>;

export function toLoadFlag({ flag, help, otherwise }: LoadPresentation): Option {
  return new Option(flag, otherwise === undefined ? help : `${help} (default: ${otherwise})`);
}

/** `--max-pixels` for `maxPixels`; undefined for a name that no such flag stands for. */
export function loadFlagOf(name: string): string | undefined {
  const presentation = new Map([...modelFlags(), ...Object.entries(pictureFlags)]).get(name);
  return presentation && toLoadFlag(presentation).long;
}
