import { stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { exportToVideo } from "../../src/node/video/export.ts";
import { floatTensor } from "../../src/tensor.ts";
import { clipFormats } from "../../src/video/clip.ts";
import { largestClipBytes } from "../../src/video/largest-size.ts";
import { temporaryFolder } from "./test-clip.ts";

/** Frames that no encoder can make small: each value drawn from few or from many, always the same ones. */
function noise(levels: number, { width, height, numFrames }: { width: number; height: number; numFrames: number }) {
  let state = 1;
  const value = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
    return Math.floor(((state >>> 8) / 2 ** 24) * levels) * (255 / (levels - 1));
  };
  return Array.from({ length: numFrames }, () => {
    return { width, height, data: Uint8Array.from({ length: width * height * 3 }, value) };
  });
}

it.each(clipFormats.flatMap((format) => [2, 256].map((levels) => [format, levels] as const)))(
  "a .%s of noise in %d levels takes no more, and half of that at least where it has many pixels",
  async (format, levels) => {
    const folder = await temporaryFolder();
    for (const size of [
      { width: 16, height: 16, numFrames: 3 },
      { width: 512, height: 384, numFrames: 2 },
    ]) {
      const { width, height, numFrames } = size;
      const latents = floatTensor([1, numFrames, 4, height / 4, width / 4]);
      const path = join(folder, `clip-${width}.${format}`);
      const metadata = { sigmas: Array.from({ length: 1000 }, (_, step) => 700 / (step + 1)) };
      const written = await exportToVideo({ frames: noise(levels, size), latents }, path, { metadata });
      const sizes = await Promise.all(written.map(async (each) => (await stat(each)).size));
      const takenBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
      const largestBytes = largestClipBytes(format, size);
      expect(takenBytes).toBeLessThan(largestBytes);
      if (width === 512 && levels === 256) expect(takenBytes).toBeGreaterThan(largestBytes / 2);
    }
  },
);
