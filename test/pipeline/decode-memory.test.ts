import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const program = join(import.meta.dirname, "decode-program.ts");

async function peakMegabytes(window: number): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, String(window)]);
  return Number(stdout) / 1e6;
}

it("decoding takes less memory the fewer frames it takes at a time", { timeout: 240_000 }, async () => {
  const [atOnce, four, one] = [await peakMegabytes(12), await peakMegabytes(4), await peakMegabytes(1)];
  const figures = `12 frames ${atOnce} MB, 4 frames ${four} MB, 1 frame ${one} MB`;
  // A frame of the last level is 3.3 MB; a decoder holds several such maps at once.
  expect(atOnce - four, figures).toBeGreaterThan(150);
  expect(four - one, figures).toBeGreaterThan(25);
});
