/** What does `stillmotion generate` take, and what does it do? Pictures in, one clip of each out. */
import { Command, type OptionValues } from "commander";
import { dtypes } from "../pipeline/dtypes.ts";
import { loraFromText } from "../pipeline/loras.ts";
import { numberFromText } from "../pipeline/option-text.ts";
import { onInterrupt } from "./interrupt.ts";
import { downloadReporter } from "./models-progress.ts";
import { hubOptions } from "./models-resolve.ts";
import { builtInCheckpoint } from "./package-files.ts";
import { createReporter } from "./report/reporter.ts";
import { settingFlags, settingsFromFlags } from "./setting-flags.ts";

const examples = `
Settings that the checkpoint brings along come before these defaults.

Files: .mp4, .gif, .webp (animated), .png (numbered pictures) or .safetensors
(tensors "frames" and "latents"). With several pictures or --videos the names
are numbered: clip-1.mp4, clip-2.mp4 ...

Environment: ORT_LIBRARY names the ONNX Runtime library to use, NO_COLOR turns
colours off, STILLMOTION_DEBUG=1 shows where an error comes from.

Examples:
  $ stillmotion generate photo.jpg -o clip.mp4
  $ stillmotion generate photo.jpg -o clip.mp4 -o clip.gif --seed 42
  $ stillmotion generate a.jpg b.jpg -o clip.mp4 --seed 1,2
  $ stillmotion generate rocket.png -o rocket.webp --model ./svd-xt \\
      --variant fp16 --motion-bucket-id 60 --decode-chunk-size 8
  $ stillmotion generate photo.jpg -o clip.mp4 --model svd-xt --variant fp16
  $ stillmotion generate photo.jpg -o clip.mp4 --json
`;

export function generateCommand(finish: (exitCode: number) => void): Command {
  const command = new Command("generate")
    .summary("make a clip of a picture")
    .description("Makes a short clip of each picture.")
    .argument("<image...>", "JPEG, PNG, WebP, AVIF or GIF: a path or an http(s) URL")
    .requiredOption("-o, --output <file>", "the clip to write; may be given several times", collect)
    .option("--json", "print events on stdout, one JSON object a line")
    .option("-q, --quiet", "print nothing but errors");
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
      `arithmetic of the UNet: ${dtypes.join(", ")}; int8 is faster and 57 to 60 dB from fp32 with the built-in checkpoint ` +
        "(default: auto, which is fp32)",
    )
    .option("--device <name>", "auto or cpu (default: auto, which is cpu)")
    .option(
      "--offload <when>",
      "model: a network is in memory only while it runs; none: it stays loaded to the end (default: model)",
    )
    .option("--threads <n>", "threads for one operator (default: as many as the machine runs at once)")
    .option(
      "--scratch-folder <path>",
      "for what decoding sets aside (default: the system's folder for temporary files)",
    )
    .optionsGroup("Limits for pictures:")
    .option("--max-pixels <n>", "width times height that is decoded at most (default: 50 million)")
    .option("--max-bytes <n>", "bytes that are read or downloaded at most (default: 50 million)")
    .option("--timeout-ms <n>", "milliseconds for a download (default: 30000)")
    .addHelpText("after", examples)
    .action((images: string[], flags: OptionValues) => generate(images, flags, finish));
}

async function generate(images: string[], flags: OptionValues, finish: (exitCode: number) => void): Promise<void> {
  const reporter = createReporter(flags);
  const downloads = downloadReporter(flags);
  const interrupt = onInterrupt();
  const { signal } = interrupt;
  const { revision, localFilesOnly } = flags;
  try {
    const { makeClips } = await import("./make-clips.ts");
    await makeClips({
      images,
      outputs: flags.output,
      settings: settingsFromFlags(flags),
      model: flags.model ?? builtInCheckpoint(),
      pipelineOptions: {
        hub: hubOptions({ revision, localFilesOnly, signal, onProgress: downloads.take }),
        ...given(flags, ["variant", "dtype", "device", "offload", "unet", "preset", "scratchFolder"]),
        ...numbers(flags, ["threads"]),
        ...library(),
        loras: flags.lora?.map(loraFromText),
      },
      imageLimits: numbers(flags, ["maxPixels", "maxBytes", "timeoutMs"]),
      reporter,
      signal,
    });
  } catch (error) {
    downloads.close();
    const exitCode = interrupt.exitCode();
    if (exitCode === undefined) throw error;
    reporter.stopped(signal.reason);
    finish(exitCode);
  } finally {
    interrupt.release();
    downloads.close();
    reporter.close();
  }
}

function collect(value: string, earlier: readonly string[] = []): string[] {
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
