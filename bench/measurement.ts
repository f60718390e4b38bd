/** What does a measured process report, and what is made of several reports? */

/** Printed as JSON by bench/unet-stillmotion.ts and reference/bench/unet.py. */
export interface Measurement {
  /** From the start of the program, imports left out, until the first step could begin. */
  readonly loadSeconds: number;
  /** The first step, which may allocate memory and choose kernels. */
  readonly warmUpSeconds: number;
  /** One a run, without the warm-up. */
  readonly stepSeconds: readonly number[];
  /** Time that the processors spent on each of them: says more than the clock while the machine has other work. */
  readonly stepCpuSeconds: readonly number[];
  /** The most memory that was resident, pages of mapped files included. */
  readonly peakBytes: number;
  /** For the report as they stand: versions, times of parts. */
  readonly details: Readonly<Record<string, string>>;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}

/** |got - expected| / |expected|, both as vectors. */
export function relativeL2(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (got.length !== expected.length) throw new Error(`results have ${got.length} and ${expected.length} values`);
  let [difference, size] = [0, 0];
  for (let index = 0; index < expected.length; index++) {
    difference += (got[index]! - expected[index]!) ** 2;
    size += expected[index]! ** 2;
  }
  return Math.sqrt(difference / size);
}
