/** What is done with a picture of another shape when nobody said? It is cropped, and the person is told. */
import { aspectDifference, type Fit } from "../../image/fit.ts";
import type { Image } from "../../image/image.ts";

type Size = Pick<Image, "width" | "height">;

/** Shapes that differ by less than this are stretched, because nobody sees it. */
const visibleDifference = 0.01;

/** The rule in words, for help. */
export const fitRule = `crop if the shapes differ by more than ${visibleDifference * 100} %`;

/** @param pictures each with the name that the person gave it */
export function chooseFit(
  pictures: readonly { name: string; size: Size }[],
  clip: Size,
): { fit: Fit; notes: readonly string[] } {
  const others = pictures.filter(({ size }) => aspectDifference(size, clip) > visibleDifference);
  const notes = others.map(
    ({ name, size }) =>
      `${name} is ${size.width}x${size.height}, cropped to the clip's ${shapeOf(clip)}; --fit stretch|pad to choose`,
  );
  return { fit: others.length > 0 ? "crop" : "stretch", notes };
}

/** `16:9` where the ratio is that simple, else the size itself. */
function shapeOf({ width, height }: Size): string {
  const divisor = greatestCommonDivisor(width, height);
  const [across, down] = [width / divisor, height / divisor];
  return Math.max(across, down) <= 32 ? `${across}:${down}` : `${width}x${height}`;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
