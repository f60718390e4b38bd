/** How do clips reach their files? One after the other; where one cannot be written, the others still are. */
import { stat } from "node:fs/promises";
import { message, StillmotionError } from "../../errors.ts";
import { exportToVideo } from "../../node/video/export.ts";
import type { GenerateResult } from "../../options/generate-call.ts";
import { toImages } from "../../pipeline/decode.ts";
import { type FloatTensor, floatTensor } from "../../tensor.ts";
import type { Reporter, WrittenFiles } from "../report/reporter.ts";

export interface ClipsToWrite {
  readonly result: GenerateResult<"floats">;
  /** The paths of each clip. */
  readonly clipPaths: readonly (readonly string[])[];
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly reporter: Pick<Reporter, "progress">;
  readonly signal: AbortSignal;
}

export interface WrittenClips {
  readonly files: readonly WrittenFiles[];
  /** The given paths of outputs with one picture for each frame. */
  readonly numbered: readonly string[];
  /** The outputs that could not be written, and why. */
  readonly failures: readonly { readonly path: string; readonly error: unknown }[];
}

/** Throws only when the signal fires. */
export async function writeClips({
  result,
  clipPaths,
  metadata,
  reporter,
  signal,
}: ClipsToWrite): Promise<WrittenClips> {
  const { settings, latents } = result;
  const files: WrittenFiles[] = [];
  const numbered: string[] = [];
  const failures: { path: string; error: unknown }[] = [];
  const total = clipPaths.flat().length;
  const clips = clipPaths.length;
  for (const [index, floatFrames] of result.frames.entries()) {
    const clip = { frames: toImages(floatFrames), floatFrames, latents: clipLatents(latents, index) };
    const place = clips === 1 ? {} : { clip: index + 1, clips };
    const options = { fps: settings.fps, metadata: { ...metadata, ...place }, signal };
    for (const path of clipPaths[index]!) {
      reporter.progress({ stage: "export", state: "running", done: files.length, total });
      try {
        const paths = await exportToVideo(clip, path, options);
        files.push({ clip: index + 1, paths, sizeBytes: await totalBytes(paths) });
        if (paths[0] !== path) numbered.push(path);
      } catch (error) {
        if (signal.aborted) throw error;
        failures.push({ path, error });
      }
    }
  }
  return { files, numbered, failures };
}

/** All failures as one. */
export function failureOf(failures: WrittenClips["failures"], kept: string): StillmotionError {
  const errors = failures.map(({ error }) => error);
  const isExpected = errors.every((error) => error instanceof StillmotionError && error.code !== "internal");
  const said = errors
    .map((error) => (error instanceof StillmotionError ? error.said : String(error)))
    .reduce((all, each) => message`${all}\n${each}`);
  return new StillmotionError(isExpected ? "output" : "internal", message`${said}\n${kept}`, { cause: errors[0] });
}

async function totalBytes(paths: readonly string[]): Promise<number> {
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** (clips, frames, 4, height, width) -> (1, frames, 4, height, width). */
function clipLatents({ shape, data }: FloatTensor, clip: number): FloatTensor {
  const size = data.length / shape[0]!;
  return floatTensor([1, ...shape.slice(1)], data.slice(clip * size, (clip + 1) * size));
}
