/** What is kept of a run whose clip cannot be written? The latents, which denoising took so long to find. */
import { stat } from "node:fs/promises";
import { dirname, join, parse, resolve } from "node:path";
import { temporaryFolder } from "../../node/scratch.ts";
import { writeFileAtomically } from "../../node/video/write-file.ts";
import type { Settings } from "../../options/resolve-settings.ts";
import type { FloatTensor } from "../../tensor.ts";
import { commentKey } from "../../video/clip-safetensors.ts";
import { settingsToText } from "../../video/metadata.ts";
import { encodeSafetensors } from "../../weights/safetensors/safetensors.ts";
import { flagsOfSettings } from "../run/setting-flags.ts";

/**
 * Writes the latents beside the output, else to the system's folder for temporary files, else to the current folder.
 *
 * @param latents (clips, frames, 4, latent height, latent width)
 * @returns a sentence for the person: where they are, and what can be done with them
 */
export async function keepLatents(
  latents: FloatTensor,
  output: string,
  { settings, metadata }: { settings: Settings; metadata: Readonly<Record<string, unknown>> },
): Promise<string> {
  const comment = settingsToText(metadata, settings.fps, settings.numFrames);
  const bytes = encodeSafetensors({ latents }, { [commentKey]: comment });
  const again = `${flagsOfSettings({ seed: settings.seed }).join("")} makes the same clip again`;
  for (const folder of [dirname(output), temporaryFolder(), "."]) {
    try {
      const path = await freeName(join(folder, `${parse(output).name}.latents`));
      await writeFileAtomically(path, bytes);
      return (
        `the denoised latents are kept in ${resolve(path)}, as the tensor "latents": diffusers' pipe.decode_latents makes frames of ` +
        `them; the same command with ${again}`
      );
    } catch {} // the next folder may have space
  }
  return `the denoised latents could be kept nowhere either; the same command with ${again}`;
}

async function freeName(start: string): Promise<string> {
  for (let number = 1; ; number++) {
    const path = `${start}${number === 1 ? "" : `-${number}`}.safetensors`;
    const isFree = await stat(path).then(
      () => false,
      () => true,
    );
    if (isFree) return path;
  }
}
