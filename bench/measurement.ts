/** What does a measured process report, and what is made of several reports? */

/** Printed as JSON by bench/*-stillmotion.ts and reference/bench/*.py. */
export interface Measurement {
  /** From the start of the program, imports left out, until the first run could begin. */
  readonly loadSeconds: number;
  /** The first run, which may allocate memory, choose kernels or compile. */
  readonly warmUpSeconds: number;
  /** One a run, without the warm-up. */
  readonly runSeconds: readonly number[];
  /** Time that the processors spent on each of them: says more than the clock while the machine has other work. */
  readonly runCpuSeconds: readonly number[];
  /** The most memory that was resident, pages of mapped files included. */
  readonly peakBytes: number;
  readonly versions: Readonly<Record<string, string>>;
  /** Of whole clips: the part of each run that was spent in denoising. */
  readonly denoiseSeconds?: readonly number[];
  /** Of whole clips, ours: the share of each run in which the thread that is not ONNX Runtime's worked. */
  readonly outsideShares?: readonly number[];
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
