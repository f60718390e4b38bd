/** How much may a lossy format lose? One scale for all of them. */
import { message, option, StillmotionError } from "../errors.ts";

/** The quality, from 1 (smallest file) to 100 (best picture); throws `invalid-option` for any other. */
export function checkedQuality(quality: number | undefined, fallback: number): number {
  const value = quality ?? fallback;
  if (!Number.isInteger(value) || value < 1 || value > 100) {
    throw new StillmotionError(
      "invalid-option",
      message`${option("quality")}: got ${String(value)}, expected a whole number from 1 to 100`,
    );
  }
  return value;
}
