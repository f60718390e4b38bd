/** Which way is up? Turns pixels as the EXIF orientation 1..8 says. */
import type { Image } from "./image.ts";

/**
 * The upright image, as Pillow's `ImageOps.exif_transpose` gives it. 1 and values outside 1..8 leave it as it is.
 *
 * @source EXIF 2.32, tag 0x0112: where the stored first row and first column lie in the scene
 */
export function orient(image: Image, orientation: number): Image {
  if (!(orientation >= 2 && orientation <= 8)) return image;
  const { width, height, data } = image;
  const swapsAxes = orientation >= 5;
  const mirrorsColumns = [2, 3, 7, 8].includes(orientation);
  const mirrorsRows = [3, 4, 6, 7].includes(orientation);

  const [uprightWidth, uprightHeight] = swapsAxes ? [height, width] : [width, height];
  const upright = new Uint8Array(data.length);
  let at = 0;
  for (let y = 0; y < uprightHeight; y++) {
    for (let x = 0; x < uprightWidth; x++) {
      const [column, row] = swapsAxes ? [y, x] : [x, y];
      const from =
        ((mirrorsRows ? height - 1 - row : row) * width + (mirrorsColumns ? width - 1 - column : column)) * 3;
      upright[at++] = data[from]!;
      upright[at++] = data[from + 1]!;
      upright[at++] = data[from + 2]!;
    }
  }
  return { width: uprightWidth, height: uprightHeight, data: upright };
}
