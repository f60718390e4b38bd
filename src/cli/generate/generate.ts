/** What does `stillmotion generate` take, and what does it do? Pictures in, one clip of each out. */
import { Command, type OptionValues } from "commander";
import { onInterrupt } from "../interrupt.ts";
import { downloadReporter } from "../models/progress.ts";
import { createReporter } from "../report/create-reporter.ts";
import { collect, runFromFlags, withRunFlags } from "../run/run-flags.ts";

const examples = `
Settings that the checkpoint brings along come before these defaults.

Prices: times as fast as without, and the clip's PSNR against the exact one,
with the small checkpoint, 25 steps and guidance: docs/benchmarks.md.

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
    .option("--clean", "remove numbered pictures of an earlier, longer run that lie behind those of this one")
    .option("--json", "print events on stdout, one JSON object a line")
    .option("-q, --quiet", "print nothing but errors");
  return withRunFlags(command)
    .addHelpText("after", examples)
    .action((images: string[], flags: OptionValues) => generate(images, flags, finish));
}

async function generate(images: string[], flags: OptionValues, finish: (exitCode: number) => void): Promise<void> {
  const reporter = createReporter(flags);
  const downloads = downloadReporter(flags);
  const interrupt = onInterrupt();
  const { signal } = interrupt;
  try {
    const { makeClips } = await import("./make-clips.ts");
    const leftovers = flags.clean ? "remove" : "keep";
    await makeClips({ ...runFromFlags(images, flags, { signal, onProgress: downloads.take }), reporter, leftovers });
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
