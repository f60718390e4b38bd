/** Which weights do Pillow's resampling filters give to the pixels around a point? */

export const resizeFilters = ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] as const;

/**
 * The filters of Pillow's `Image.Resampling`, by their names there.
 * @useDeclaredType
 */
export type ResizeFilter = (typeof resizeFilters)[number];

interface Kernel {
  /** Pixels on either side of the centre, at scale 1, beyond which the weight is 0. */
  readonly support: number;
  readonly weight: (x: number) => number;
}

/** The windows of Pillow's libImaging/Resample.c; nearest has none. */
export const kernels: Readonly<Record<Exclude<ResizeFilter, "nearest">, Kernel>> = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: { support: 1, weight: hamming },
  bicubic: { support: 2, weight: bicubic },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

function hamming(x: number): number {
  const distance = Math.abs(x);
  if (distance === 0) return 1;
  if (distance >= 1) return 0;
  const angle = distance * Math.PI;
  return (Math.sin(angle) / angle) * (0.54 + 0.46 * Math.cos(angle));
}

/** Keys' cubic convolution with a = -0.5. */
function bicubic(x: number): number {
  const a = -0.5;
  const distance = Math.abs(x);
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  if (distance < 2) return (((distance - 5) * distance + 8) * distance - 4) * a;
  return 0;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}
