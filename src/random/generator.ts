/** What is a seed, and what does it start? Generators with the stream of torch's CPU generator. */
import { message, option, StillmotionError } from "../errors.ts";
import { mersenneTwister } from "./mersenne-twister.ts";

/** A stream of random bits with a memory: each draw continues where the last one ended. */
export interface RandomGenerator {
  /** The seed as given; torch stores negative ones as seed + 2^64. */
  readonly seed: number | bigint;
  /** The next 32 bits, 0..2^32-1. */
  readonly nextUint32: () => number;
  /** Draws of fewer than 16 values make normals in pairs; the second one waits here for the next such draw. */
  waitingNormal: number | undefined;
}

/**
 * A generator with the stream of `torch.Generator("cpu").manual_seed(seed)`.
 *
 * Like torch, any 64-bit seed is taken and its low 32 bits decide the stream: 7 and 2^40 + 7 give the same noise.
 *
 * @param seed whole number in -2^63..2^64-1; a `bigint` beyond 2^53
 * @throws StillmotionError `invalid-option` for any other value
 * @example
 * const generator = createGenerator(42);
 * const noise = randn(generator, [1, 25, 4, 72, 128], "float32");
 */
export function createGenerator(seed: number | bigint): RandomGenerator {
  checkSeed(seed);
  return { seed, nextUint32: mersenneTwister(Number(BigInt.asUintN(32, BigInt(seed)))), waitingNormal: undefined };
}

/** A seed for a caller who gave none: 32 random bits of the platform, short enough to be typed again. */
export function randomSeed(): number {
  return globalThis.crypto.getRandomValues(new Uint32Array(1))[0]!;
}

function checkSeed(seed: number | bigint): void {
  if (typeof seed === "number" ? !Number.isSafeInteger(seed) : typeof seed !== "bigint") {
    const mend =
      typeof seed === "number" && Number.isInteger(seed) ? `write it as a bigint: ${BigInt(seed)}n` : "round it";
    throw new StillmotionError(
      "invalid-option",
      typeof seed === "number"
        ? message`${option("seed")}: got ${seed}, expected a whole number that a JavaScript number holds exactly; ${mend}`
        : message`${option("seed")}: got ${typeof seed}, expected a whole number or a bigint`,
    );
  }
  if (BigInt.asUintN(64, BigInt(seed)) !== BigInt(seed) && BigInt.asIntN(64, BigInt(seed)) !== BigInt(seed)) {
    const problem = message`${option("seed")}: got ${String(seed)}, expected -2^63..2^64-1; use a smaller one`;
    throw new StillmotionError("invalid-option", problem);
  }
}
