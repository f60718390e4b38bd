/** Which frames do the video tests write, and how are they compared with what comes back? */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import { StillmotionError } from "../../src/errors.ts";
import type { Image } from "../../src/image/image.ts";

/** A colourful clip that moves: slow waves in each channel, another phase each frame. */
export function testClip({ width = 64, height = 48, frames = 5 } = {}): Image[] {
  return Array.from({ length: frames }, (_, frame) => {
    const data = new Uint8Array(width * height * 3);
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        const at = (y * width + x) * 3;
        data[at] = 128 + 110 * Math.sin((x + 4 * frame) / 19);
        data[at + 1] = 128 + 110 * Math.sin((y - 3 * frame) / 23 + 1);
        data[at + 2] = 128 + 110 * Math.sin((x + y) / 29 + frame / 3);
      }
    }
    return { width, height, data };
  });
}

/** Frames of one colour. */
export function plainClip(colour: readonly [number, number, number], { width = 32, height = 32, frames = 3 } = {}) {
  const data = new Uint8Array(width * height * 3);
  for (let at = 0; at < data.length; at += 3) data.set(colour, at);
  return Array.from({ length: frames }, (): Image => ({ width, height, data }));
}

/** All pixels of a clip, one frame after the other. */
export function stacked(clip: readonly Image[]): Uint8Array {
  return Buffer.concat(clip.map((frame) => frame.data));
}

/** Checks that pixels are the source's to a peak signal-to-noise ratio in dB, and says what was reached. */
export function expectPsnr(actual: Uint8Array, source: Uint8Array, atLeastDb: number): void {
  expect(actual.length).toBe(source.length);
  let squares = 0;
  let sum = 0;
  let largest = 0;
  for (let at = 0; at < source.length; at += 1) {
    const difference = actual[at]! - source[at]!;
    squares += difference ** 2;
    sum += difference;
    largest = Math.max(largest, Math.abs(difference));
  }
  const psnr = 10 * Math.log10(255 ** 2 / (squares / source.length));
  const figures = `PSNR ${psnr.toFixed(1)} dB, max ${largest}, mean ${(sum / source.length).toFixed(2)}`;
  expect(psnr, figures).toBeGreaterThanOrEqual(atLeastDb);
}

/** A folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "stillmotion-video-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Checks that a call fails with the code and a message that matches. */
export async function expectError(
  call: () => unknown,
  code: StillmotionError["code"],
  message: RegExp,
): Promise<StillmotionError> {
  const error = await Promise.resolve()
    .then(call)
    .then(
      () => expect.fail("expected an error"),
      (thrown: unknown) => thrown,
    );
  expect(error).toBeInstanceOf(StillmotionError);
  expect((error as StillmotionError).message).toMatch(message);
  expect((error as StillmotionError).code).toBe(code);
  return error as StillmotionError;
}

/** True when the program starts on this machine. */
export function hasProgram(name: string, ...versionArguments: string[]): boolean {
  return spawnSync(name, versionArguments, { stdio: "ignore" }).status === 0;
}
