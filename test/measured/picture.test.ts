/** Do pictures take no more memory and time than they need? */
import { expect, it } from "vitest";
import { resizeImage } from "../../src/image/resize.ts";
import { loadImage } from "../../src/node/image/load-image.ts";
import { pngFile } from "../image/png-file.ts";

it("12 megapixels become 1024x576 in well under a second of processor time", () => {
  const image = { width: 4000, height: 3000, data: new Uint8Array(4000 * 3000 * 3).fill(90) };
  const before = process.cpuUsage();
  const resized = resizeImage(image, { width: 1024, height: 576, filter: "lanczos" });
  const { user } = process.cpuUsage(before);
  expect(resized.data.every((value) => value === 90)).toBe(true);
  expect(user / 1e6, "seconds").toBeLessThan(1.5);
});

it("a decompression bomb is refused without being decoded", async () => {
  const bomb = pngFile(30_000, 30_000, 8, 2, new Uint8Array(1000));
  const before = process.memoryUsage().rss;
  await expect(loadImage(bomb)).rejects.toMatchObject({ code: "invalid-image" });
  expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
});
