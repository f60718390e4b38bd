/** What do tests make clips of that need no photo? A small picture of other proportions than their clips, of no pattern that matters. */
import { createImage } from "../../src/image/image.ts";

const [width, height] = [90, 60];

export const picture = createImage(
  width,
  height,
  Uint8Array.from({ length: width * height * 3 }, (_, index) => (index * 31) % 256),
);
