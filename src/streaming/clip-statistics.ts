/** How do the statistics of single frames become those of a clip? By the law of total variance, in float64. */
import { type FloatTensor, floatTensor } from "../tensor.ts";

/** Gathers mean and variance of each channel group, frame by frame, of one feature map. */
export interface ClipStatistics {
  /** Adds the statistics of the next frames, (frames, groups) both. */
  add(mean: Float32Array, variance: Float32Array): void;
  /** Mean and 1 / sqrt(variance + eps) over all frames, (1, groups) both. */
  merge(eps: number): { mean: FloatTensor; inverseDeviation: FloatTensor };
}

export function gatherClipStatistics(groups: number): ClipStatistics {
  const rows: { mean: Float32Array; variance: Float32Array }[] = [];
  return {
    add(mean, variance) {
      for (let start = 0; start < mean.length; start += groups) {
        rows.push({ mean: mean.slice(start, start + groups), variance: variance.slice(start, start + groups) });
      }
    },
    merge(eps) {
      const all = { mean: floatTensor([1, groups]), inverseDeviation: floatTensor([1, groups]) };
      for (let group = 0; group < groups; group++) {
        const average = rows.reduce((sum, { mean }) => sum + mean[group]!, 0) / rows.length;
        // Frames are of one size, so the variance of all is the mean of their variances and of their means' squared distances.
        const variance =
          rows.reduce((sum, row) => sum + row.variance[group]! + (row.mean[group]! - average) ** 2, 0) / rows.length;
        all.mean.data[group] = average;
        all.inverseDeviation.data[group] = 1 / Math.sqrt(variance + eps);
      }
      return all;
    },
  };
}
